// SwiGLU's element-wise part (Shazeer 2020): y = silu(gate) * up, silu(z) = z / (1 + exp(-z)).
#ifndef ALCHEMIST_KERNELS_SWIGLU_H_
#define ALCHEMIST_KERNELS_SWIGLU_H_

#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

void SwigluForward(const RowPieces& gate,  // [rows, ffn] f32 or bf16
                   const RowPieces& up,    // [rows, ffn] of the same type
                   TensorView y,           // [rows, ffn] of the same type
                   Stream& stream);

// Gradients are f32. dgate or dup may be the memory of dy.
void SwigluBackward(const RowPieces& gate,  // [rows, ffn]
                    const RowPieces& up,    // [rows, ffn]
                    ConstTensorView dy,     // [rows, ffn]
                    TensorView dgate,       // [rows, ffn]
                    TensorView dup,         // [rows, ffn]
                    Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SWIGLU_H_
