// The inner loops of thin_product.cc.
#ifndef ALCHEMIST_KERNELS_THIN_PRODUCT_SIMD_H_
#define ALCHEMIST_KERNELS_THIN_PRODUCT_SIMD_H_

#include <cstdint>

#include "kernels/simd_level.h"

namespace alchemist {

// The most lanes that a vector has: rows of m are this much wider than `columns` at most.
inline constexpr int64_t kThinGranule = 16;

struct ThinArguments {
  const float* x;  // [rows, depth]
  int64_t rows;
  int64_t depth;
  const float* m;    // [depth, columns], rows m_stride apart
  int64_t m_stride;  // columns, rounded up to kThinGranule
  int64_t columns;
  float* y;  // [rows, columns], rows y_stride apart
  int64_t y_stride;
  bool add;  // To what y holds.
};

// y (+)= x m. Each element is summed over the depth in order, by MulAdd.
ALCHEMIST_DECLARE_SIMD(void ThinRows(const ThinArguments& a))

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_THIN_PRODUCT_SIMD_H_
