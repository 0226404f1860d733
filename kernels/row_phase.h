// RowPhase: by what a kernel is chosen, and by the number of rows only between kernels that have
// the same bits: a row has the same in any company (DESIGN.md section 9). Plain value; any thread.
#ifndef ALCHEMIST_KERNELS_ROW_PHASE_H_
#define ALCHEMIST_KERNELS_ROW_PHASE_H_

namespace alchemist {

enum class RowPhase {
  kPrefill,  // Prompt rows in serving, all rows in training.
  kDecode,   // One sampled token at a time.
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROW_PHASE_H_
