// What MatmulForward, MatmulInputGradient and LoRA's products are made of: tiles of at most 64 rows
// by a block of columns, each computed by oneDNN on one thread.
//
// bf16 rows and blocks of bf16 weights are widened into the thread's memory for f32 calls; a block
// serves all tiles of it that the thread computes, and costs less than a hundredth of their
// arithmetic. Where the CPU multiplies bf16 itself, rows and weights are used where they lie.
//
// The column blocks and the parts that a long sum is split into depend on the right-hand matrix's
// shape alone; the rows that oneDNN is given have counts that are bitwise equivalent on this
// machine (see matmul.h). So an element of the result depends on its row of x and on b only.
#ifndef ALCHEMIST_KERNELS_MATMUL_TILES_H_
#define ALCHEMIST_KERNELS_MATMUL_TILES_H_

#include <cstdint>
#include <vector>

#include "kernels/accumulate.h"
#include "kernels/onednn.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// The right-hand matrix of a product: [depth, columns], stored so or transposed, f32 or bf16.
struct RightMatrix {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t depth = 0;
  int64_t columns = 0;
  bool transposed = false;
};
RightMatrix Plain(ConstTensorView w);       // x W, w [depth, columns].
RightMatrix Transposed(ConstTensorView w);  // x W^T, w [columns, depth].

// y (+)= x b. A product is rounded to f32 before it is added.
void Product(ConstTensorView x,  // [rows, b.depth] f32 or bf16
             const RightMatrix& b,
             TensorView y,  // [rows, b.columns] f32
             Accumulate accumulate, Stream& stream);

inline constexpr int64_t kTileRows = 64;

// The distinct calls to oneDNN, for kTileRows rows, that products with a right-hand matrix of this
// shape are made of. Where rows are padded or added, the same calls write densely, with c_stride ==
// columns.
struct ProductKind {
  int64_t depth = 0;
  int64_t columns = 0;
  bool transposed = false;
  DType stored = DType::kF32;  // The matrix's type.
  DType called = DType::kF32;  // bf16: both operands are, and the CPU multiplies it itself.
};
std::vector<OnednnMatmulShape> ProductCalls(const ProductKind& kind);

// How row counts are made equivalent: with kAny, oneDNN is given any count; with kPadded, 64, 48 or
// 16, the last rows filled up with zeros.
enum class RowCounts { kAny, kPadded };
RowCounts CurrentRowCounts();         // kPadded at first.
void SetRowCounts(RowCounts counts);  // REQUIRES: no kernel runs meanwhile.

// Whether bf16 rows by transposed bf16 weights are given to oneDNN as they are.
bool UsesBf16Calls();              // False at first.
void SetUsesBf16Calls(bool uses);  // REQUIRES: no kernel runs meanwhile.

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_TILES_H_
