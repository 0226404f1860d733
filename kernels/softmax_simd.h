// The passes over one row of logits.
#ifndef ALCHEMIST_KERNELS_SOFTMAX_SIMD_H_
#define ALCHEMIST_KERNELS_SOFTMAX_SIMD_H_

#include <cstdint>

#include "kernels/simd_level.h"

namespace alchemist {

// The largest of x[0 .. count). NaNs are passed over.
ALCHEMIST_DECLARE_SIMD(float RowMax(const float* x, int64_t count))

// The sum of exp(x[i] - max), max >= x[i]: each exponential in f32, their sum in f32 over stretches
// of 1,024 and in double over those. NaN when an x[i] is NaN.
ALCHEMIST_DECLARE_SIMD(double SumExp(const float* x, int64_t count, float max))

// The same, and x[i] = exp(x[i] - max).
ALCHEMIST_DECLARE_SIMD(double SumExpInPlace(float* x, int64_t count, float max))

// x[i] *= factor.
ALCHEMIST_DECLARE_SIMD(void ScaleRow(float* x, int64_t count, float factor))

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SOFTMAX_SIMD_H_
