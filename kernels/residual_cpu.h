// Residual connections on the CPU; shapes are as residual.h says and already checked.
#ifndef ALCHEMIST_KERNELS_RESIDUAL_CPU_H_
#define ALCHEMIST_KERNELS_RESIDUAL_CPU_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// T is the type of b and y.
template <typename T>
void AddCpu(ConstTensorView a, ConstTensorView b, TensorView y, Stream& stream);

void ScatterAddRowsCpu(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                       Stream& stream);

// For every type: only bytes move.
void GatherRowsCpu(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RESIDUAL_CPU_H_
