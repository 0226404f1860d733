// Sums of outer products of rows: the gradient of a weight matrix from the rows that passed it.
#ifndef ALCHEMIST_KERNELS_OUTER_PRODUCTS_H_
#define ALCHEMIST_KERNELS_OUTER_PRODUCTS_H_

#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// dst[i, j] += sum over t of u[t, i] * x[t, j], in f32, t ascending, one fused multiply-add after
// the other: any cut of the rows into calls, in order, gives the same bits, on every machine.
void AccumulateOuterProducts(ConstTensorView u,  // [rows, n] f32
                             ConstTensorView x,  // [rows, m] f32 or bf16
                             TensorView dst,     // [n, m] f32
                             Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_OUTER_PRODUCTS_H_
