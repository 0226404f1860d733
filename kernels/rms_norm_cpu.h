// RmsNorm on the CPU; shapes are as rms_norm.h says and already checked.
#ifndef ALCHEMIST_KERNELS_RMS_NORM_CPU_H_
#define ALCHEMIST_KERNELS_RMS_NORM_CPU_H_

#include "kernels/accumulate.h"
#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// T is the type of x and gamma, Y that of y.
template <typename T, typename Y>
void RmsNormForwardCpu(const RowPieces& x, ConstTensorView gamma, float epsilon, TensorView y,
                       Stream& stream);

template <typename T>
void RmsNormBackwardCpu(const RowPieces& x, ConstTensorView gamma, float epsilon,
                        ConstTensorView dy, TensorView dx, Accumulate accumulate, TensorView dgamma,
                        Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RMS_NORM_CPU_H_
