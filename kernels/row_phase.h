// RowPhase: by what a kernel is chosen, never by the number of rows: a row has the same bits in any
// company (DESIGN.md section 9). Plain value; any thread.
#ifndef ALCHEMIST_KERNELS_ROW_PHASE_H_
#define ALCHEMIST_KERNELS_ROW_PHASE_H_

namespace alchemist {

enum class RowPhase {
  kPrefill,  // Prompt rows in serving, all rows in training.
  kDecode,   // One sampled token at a time.
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROW_PHASE_H_
