// Whether a gradient replaces what its destination holds or is added to it.
#ifndef ALCHEMIST_KERNELS_ACCUMULATE_H_
#define ALCHEMIST_KERNELS_ACCUMULATE_H_

namespace alchemist {

enum class Accumulate { kNo, kYes };

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ACCUMULATE_H_
