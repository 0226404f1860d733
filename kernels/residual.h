// Residual connections, and rows picked out of a matrix and added back to it.
#ifndef ALCHEMIST_KERNELS_RESIDUAL_H_
#define ALCHEMIST_KERNELS_RESIDUAL_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y = a + b. y may be the memory of a or b.
void Add(ConstTensorView a, ConstTensorView b, TensorView y, Stream& stream);  // all [rows, width]

// y[i] = x[rows[i]].
void GatherRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y, Stream& stream);

// y[rows[i]] += x[i], i ascending; a row may be named several times.
void ScatterAddRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                    Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RESIDUAL_H_
