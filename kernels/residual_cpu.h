// Rows picked out of a matrix and added back to it, on the CPU; shapes are as residual.h says and
// already checked.
#ifndef ALCHEMIST_KERNELS_RESIDUAL_CPU_H_
#define ALCHEMIST_KERNELS_RESIDUAL_CPU_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

void ScatterAddRowsCpu(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                       Stream& stream);

// For every type: only bytes move.
void GatherRowsCpu(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RESIDUAL_CPU_H_
