// A linear layer with its adapters, forward: the product with the weights, LoRA, bias and residual,
// finished tile by tile, so that its sums in f32 never leave the caches.
#ifndef ALCHEMIST_KERNELS_LINEAR_H_
#define ALCHEMIST_KERNELS_LINEAR_H_

#include "absl/types/span.h"
#include "kernels/lora.h"
#include "kernels/matmul.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y = x W^T + bias + (scale * x A^T) B^T + residual, summed in f32 in this order and rounded once
// to y's type. Rows are as independent of each other as MatmulForward's. y shares no memory with x
// or residual.
void LinearForward(ConstTensorView x,                       // [rows, in] f32 or bf16
                   const WeightView& w,                     // [out, in] of the same type
                   absl::Span<const LoraSegment> adapters,  // Of rows of x.
                   ConstTensorView residual,                // [rows, out] of x's type, or no data
                   TensorView y,                            // [rows, out] of x's type, or f32
                   RowPhase phase, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LINEAR_H_
