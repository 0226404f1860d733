// Rows picked out of a matrix and added back to it: what the last layer does for its head rows. (A
// layer's residuals are added by LinearForward.)
#ifndef ALCHEMIST_KERNELS_RESIDUAL_H_
#define ALCHEMIST_KERNELS_RESIDUAL_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y[i] = x[rows[i]], of any one type.
void GatherRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y, Stream& stream);

// y[rows[i]] += x[i], f32, i ascending; a row may be named several times.
void ScatterAddRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                    Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RESIDUAL_H_
