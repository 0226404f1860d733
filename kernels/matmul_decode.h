// The products of decode rows: few rows, so that the time is that of reading the weights, each
// once. An own kernel over the rows of W; oneDNN copies weights before it uses them.
#ifndef ALCHEMIST_KERNELS_MATMUL_DECODE_H_
#define ALCHEMIST_KERNELS_MATMUL_DECODE_H_

#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y = x W^T. An element's sum runs over `in` in one order, whatever the number of rows.
// bf16 weights are widened in registers: half the bytes take half the time.
void DecodeProduct(ConstTensorView x,  // [rows, in] f32 or bf16
                   ConstTensorView w,  // [out, in] f32 or bf16
                   TensorView y,       // [rows, out] f32
                   Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_DECODE_H_
