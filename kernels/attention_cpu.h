// Attention on the CPU; attention.h says what is computed. T is the element type of q, k, v and
// out.
#ifndef ALCHEMIST_KERNELS_ATTENTION_CPU_H_
#define ALCHEMIST_KERNELS_ATTENTION_CPU_H_

#include "absl/types/span.h"
#include "kernels/attention.h"
#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

template <typename T>
void AttentionForwardCpu(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                         ConstTensorView q, TensorView out, TensorView lse, RowPhase phase,
                         Stream& stream);

template <typename T>
void AttentionBackwardCpu(const AttentionShape& shape, absl::Span<const AttentionGradSpan> spans,
                          const RowPieces& q, const RowPieces& out, const RowPieces& lse,
                          ConstTensorView dout, TensorView dq, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ATTENTION_CPU_H_
