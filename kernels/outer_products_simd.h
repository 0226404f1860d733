// The inner loop of outer_products.cc.
#ifndef ALCHEMIST_KERNELS_OUTER_PRODUCTS_SIMD_H_
#define ALCHEMIST_KERNELS_OUTER_PRODUCTS_SIMD_H_

#include <cstdint>

#include "kernels/simd_level.h"

namespace alchemist {

// The block of sums that one call adds to.
inline constexpr int64_t kOuterRows = 8;
inline constexpr int64_t kOuterColumns = 16;

// dst[i, j] = fma(u[t, i], x[t, j], dst[i, j]) for t = 0, 1, ... The same bits in all versions.
ALCHEMIST_DECLARE_SIMD(void AccumulateOuterBlock(const float* u,  // [rows, kOuterRows]
                                                 const float* x,  // [rows, kOuterColumns]
                                                 int64_t rows,
                                                 float* dst,  // [kOuterRows, kOuterColumns]
                                                 int64_t dst_stride))

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_OUTER_PRODUCTS_SIMD_H_
