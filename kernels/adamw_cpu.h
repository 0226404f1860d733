// AdamW on the CPU; shapes are as adamw.h says and already checked.
#ifndef ALCHEMIST_KERNELS_ADAMW_CPU_H_
#define ALCHEMIST_KERNELS_ADAMW_CPU_H_

#include <cstdint>

#include "kernels/adamw_reference.h"

namespace alchemist {

// One tile of elements, each computed in double and rounded once. Returns the sum of squares of the
// change of `weights`.
double AdamWTileCpu(const AdamWStepConstants& constants, const float* gradient, int64_t count,
                    float* weights, float* first_moment, float* second_moment);

double SumOfSquaresCpu(const float* x, int64_t count);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ADAMW_CPU_H_
