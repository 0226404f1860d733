// ShortProduct: x W^T for a few rows, by an own kernel that reads W once, where it lies. oneDNN
// copies W into its own layout in each call, which for 16 rows takes longer than their arithmetic.
// Its results have oneDNN's bits, where the start-up self-test finds how oneDNN sums (ShortParts).
// Any thread; work is done on the calling thread alone.
#ifndef ALCHEMIST_KERNELS_SHORT_PRODUCT_H_
#define ALCHEMIST_KERNELS_SHORT_PRODUCT_H_

#include <cstdint>

#include "kernels/short_product_simd.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// Whether this CPU has a kernel for rows of type `x` and W [outputs, depth] of type `w`.
bool HasShortProduct(DType x, DType w, int64_t outputs, int64_t depth);

// y = x W^T. Sums are made in order within parts of `part` terms, and the parts added in order.
// REQUIRES: HasShortProduct; x.rows <= kShortRowsMax; part > 0, a multiple of kShortDepthGranule.
void ShortProduct(ConstTensorView x,                // [rows, x_stride], its first `depth` columns
                  const void* w, int64_t w_stride,  // [outputs, w_stride], the same
                  DType w_type, int64_t depth, int64_t part,
                  TensorView y);  // [rows, outputs] f32

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SHORT_PRODUCT_H_
