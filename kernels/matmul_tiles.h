// What LinearForward, MatmulForward and MatmulInputGradient are made of: tiles of rows by a block
// of columns, each computed on one thread, by oneDNN or with the same bits by ShortProduct, into
// that thread's memory, densely, and finished from there: oneDNN takes other kernels, with other
// bits, for results whose rows lie apart.
//
// bf16 rows and blocks of bf16 weights are widened into the thread's memory for f32 calls; a block
// serves all tiles of it that the thread computes, and costs less than a hundredth of their
// arithmetic. Where OnednnPrefersBf16, rows and weights are used where they lie.
//
// The column blocks and the parts that a long sum is split into depend on the right-hand matrix's
// shape alone; the rows that oneDNN is given have counts that are bitwise equivalent on this
// machine (see matmul.h). So an element of the result depends on its row of x and on b only.
#ifndef ALCHEMIST_KERNELS_MATMUL_TILES_H_
#define ALCHEMIST_KERNELS_MATMUL_TILES_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "kernels/accumulate.h"
#include "kernels/onednn.h"
#include "kernels/product_tile.h"
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

// x b for each b, tile by tile.
void Products(ConstTensorView x,                // [rows, depth] f32 or bf16
              absl::Span<const RightMatrix> b,  // [depth, columns] each
              FinishTile finish, Stream& stream);
// y (+)= x b. A product is rounded to f32 before it is added.
void Product(ConstTensorView x,  // [rows, b.depth] f32 or bf16
             const RightMatrix& b,
             TensorView y,  // [rows, b.columns] f32
             Accumulate accumulate, Stream& stream);

// The distinct calls to oneDNN, for kTileRows rows, that products with a right-hand matrix of this
// shape are made of.
struct ProductKind {
  int64_t depth = 0;
  int64_t columns = 0;
  bool transposed = false;
  DType stored = DType::kF32;  // The matrix's type.
  DType called = DType::kF32;  // bf16: both operands are.
};
std::vector<OnednnMatmulShape> ProductCalls(const ProductKind& kind);

// Rows of a tile: with more, oneDNN reads the right-hand matrix less often, but not on every
// machine with the same bits. Within a tile oneDNN is given all of a tall tile's rows, or 64, 48 or
// 16, the last ones filled up with zeros.
inline constexpr int64_t kTileRows = 64;
inline constexpr int64_t kTallTileRows = 192;

// Of the tallest tiles whose calls have operands of type `called`; 0: no call has, bf16 is widened.
int64_t TileRows(DType called);  // At first kTileRows for f32, and 0 for bf16.
// REQUIRES: no kernel runs meanwhile; `rows` is one of the above, 0 for bf16 alone.
void SetTileRows(DType called, int64_t rows);

// Calls (as ProductCalls has them) for which ShortProduct has oneDNN's bits, and takes its place
// for slices of at most kShortRowsMax rows: in parts of so many terms.
using ShortParts = absl::flat_hash_map<OnednnMatmulShape, int64_t>;
const ShortParts& CurrentShortParts();  // At first there are none.
// REQUIRES: no kernel runs meanwhile.
void SetShortParts(ShortParts parts);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_TILES_H_
