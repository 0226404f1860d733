// SwiGLU on the CPU; shapes are as swiglu.h says and already checked. T is the type of gate, up, y.
#ifndef ALCHEMIST_KERNELS_SWIGLU_CPU_H_
#define ALCHEMIST_KERNELS_SWIGLU_CPU_H_

#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

template <typename T>
void SwigluForwardCpu(const RowPieces& gate, const RowPieces& up, TensorView y, Stream& stream);

template <typename T>
void SwigluBackwardCpu(const RowPieces& gate, const RowPieces& up, ConstTensorView dy,
                       TensorView dgate, TensorView dup, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SWIGLU_CPU_H_
