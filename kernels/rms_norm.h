// RMS normalisation (Zhang and Sennrich 2019) over the last dimension, or per head.
#ifndef ALCHEMIST_KERNELS_RMS_NORM_H_
#define ALCHEMIST_KERNELS_RMS_NORM_H_

#include "kernels/accumulate.h"
#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y[t, g] = x[t, g] / sqrt(mean(x[t, g]^2) + epsilon) * gamma for each group g of gamma.width
// adjacent elements: one group per row for layer norms, one per head for q/k norm. The result is
// rounded to y's type once, after gamma. x and y may be the same memory where the types are equal.
void RmsNormForward(const RowPieces& x,     // [rows, groups * width] f32 or bf16
                    ConstTensorView gamma,  // [1, width] of the same type
                    float epsilon,
                    TensorView y,  // [rows, groups * width] of the same type, or f32
                    Stream& stream);

// Recomputes 1/rms from x. Gradients are f32. dx (+)= d/dx; dgamma, when it has data, += d/dgamma
// (rows ascending, so that any cut of the rows into calls, in order, gives the same bits). dx
// shares no memory with dy.
void RmsNormBackward(const RowPieces& x,     // [rows, groups * width] f32 or bf16
                     ConstTensorView gamma,  // [1, width] of the same type
                     float epsilon,
                     ConstTensorView dy,  // [rows, groups * width]
                     TensorView dx,       // [rows, groups * width]
                     Accumulate accumulate,
                     TensorView dgamma,  // [1, width], or no data
                     Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RMS_NORM_H_
