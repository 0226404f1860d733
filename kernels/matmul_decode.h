// The products of decode rows: few rows, so that the time is that of reading the weights, each
// once. An own kernel over the rows of W; oneDNN copies weights before it uses them.
#ifndef ALCHEMIST_KERNELS_MATMUL_DECODE_H_
#define ALCHEMIST_KERNELS_MATMUL_DECODE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/product_tile.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// What an adapter adds to the rows [first_row, first_row + u.rows) of a product: u b^T.
struct DecodeAdapter {
  int64_t first_row = 0;
  ConstTensorView u;  // [rows, rank] f32
  ConstTensorView b;  // [out, rank] f32
};
struct DecodeLinear {
  ConstTensorView w;                              // [out, in] f32 or bf16
  absl::Span<const DecodeAdapter> adapters = {};  // Of rows that ascend and do not overlap.
};

// x W^T + what adapters add, for each linear, tile by tile. An element's sum over `in` and the rank
// has one order, whatever the other rows and their adapters. bf16 weights are widened in
// registers, or multiplied as they are where rows are bf16, too, and the CPU can: half the bytes
// take half the time.
void DecodeProducts(ConstTensorView x,  // [rows, in] f32 or bf16
                    absl::Span<const DecodeLinear> linears, FinishTile finish, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_DECODE_H_
