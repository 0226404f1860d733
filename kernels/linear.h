// Linear layers with their adapters, forward: the product with the weights, LoRA, bias and
// residual, finished tile by tile, so that its sums in f32 never leave the caches.
#ifndef ALCHEMIST_KERNELS_LINEAR_H_
#define ALCHEMIST_KERNELS_LINEAR_H_

#include "absl/types/span.h"
#include "kernels/lora.h"
#include "kernels/matmul.h"
#include "kernels/row_phase.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// One of the linears of a call.
struct LinearOutput {
  WeightView w;                                 // [out, in] of x's type
  absl::Span<const LoraSegment> adapters = {};  // Of rows of x that ascend and do not overlap.
  ConstTensorView residual = {};                // [rows, out] of x's type, or no data
  TensorView y;                                 // [rows, out] of x's type, or f32
};

// For each: y = x W^T + bias + (scale * x A^T) B^T + residual, summed in f32 in this order (for
// decode rows, LoRA before the bias) and rounded once to y's type. Rows are as independent of each
// other as MatmulForward's. y shares no memory with x, a residual or another y. Linears of one call
// (q, k and v; gate and up) have the same bits as one by one; the threads meet once for all their
// products, and once before for the adapters of each range of rows.
void LinearForward(ConstTensorView x,  // [rows, in] f32 or bf16
                   absl::Span<const LinearOutput> linears, RowPhase phase, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LINEAR_H_
