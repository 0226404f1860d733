// Residual connections, and rows picked out of a matrix and added back to it.
#ifndef ALCHEMIST_KERNELS_RESIDUAL_H_
#define ALCHEMIST_KERNELS_RESIDUAL_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y = a + b, rounded to y's type once. y may be the memory of b, or of a where the types are equal.
void Add(ConstTensorView a,  // [rows, width] f32: a linear's sums
         ConstTensorView b,  // [rows, width] f32 or bf16
         TensorView y,       // [rows, width], of b's type
         Stream& stream);

// y[i] = x[rows[i]], of any one type.
void GatherRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y, Stream& stream);

// y[rows[i]] += x[i], f32, i ascending; a row may be named several times.
void ScatterAddRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                    Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RESIDUAL_H_
