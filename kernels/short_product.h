// ShortProduct: x W^T for at most 64 rows, by loops of our own that read W once, where it lies.
// oneDNN copies W into its own layout in each call, which for 16 rows takes longer than their
// arithmetic. Its results can have oneDNN's bits: the start-up self-test finds for which products
// (MatmulSelfTest). Any thread; work is done on the calling thread alone.
#ifndef ALCHEMIST_KERNELS_SHORT_PRODUCT_H_
#define ALCHEMIST_KERNELS_SHORT_PRODUCT_H_

#include <cstdint>

#include "kernels/short_product_simd.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// The first `depth` columns of wider matrices.
struct ShortOperands {
  const void* x = nullptr;  // [rows, x_stride]
  DType x_type = DType::kF32;
  int64_t x_stride = 0;
  const void* w = nullptr;  // [outputs, w_stride]
  DType w_type = DType::kF32;
  int64_t w_stride = 0;
  int64_t depth = 0;
};

// Whether this CPU has loops for such types and sizes (the addresses are not looked at).
bool HasShortProduct(const ShortOperands& operands, int64_t outputs);

// y = x W^T. Terms, of bf16 pairs of them in the CPU's own order, are summed in order within parts
// of `part` elements, and the parts are added in order. REQUIRES: HasShortProduct; at most
// kShortRowsMax rows; part > 0, a multiple of kShortDepthGranule.
void ShortProduct(const ShortOperands& operands, int64_t part,
                  TensorView y);  // [rows, outputs] f32

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SHORT_PRODUCT_H_
