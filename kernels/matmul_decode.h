// The products of decode rows: few rows, so that the time is that of reading the weights, each
// once. An own kernel over the rows of W; oneDNN copies weights before it uses them.
#ifndef ALCHEMIST_KERNELS_MATMUL_DECODE_H_
#define ALCHEMIST_KERNELS_MATMUL_DECODE_H_

#include "kernels/product_tile.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// x W^T, tile by tile. An element's sum runs over `in` in one order, whatever the number of rows.
// bf16 weights are widened in registers: half the bytes take half the time.
void DecodeProduct(ConstTensorView x,  // [rows, in] f32 or bf16
                   ConstTensorView w,  // [out, in] f32 or bf16
                   FinishTile finish, Stream& stream);

// y = x W^T, with the same bits, on the calling thread.
void DecodeRows(ConstTensorView x,  // [rows, in] f32
                ConstTensorView w,  // [out, in] f32 or bf16
                TensorView y);      // [rows, out] f32

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_DECODE_H_
