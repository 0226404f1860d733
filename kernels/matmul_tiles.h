// What MatmulForward, MatmulInputGradient and LoRA's products are made of: tiles of at most 64 rows
// by a block of columns, each computed by oneDNN on one thread.
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

// The right-hand matrix of a product: [depth, columns], stored so or transposed, f32.
struct RightMatrix {
  const float* data = nullptr;
  int64_t depth = 0;
  int64_t columns = 0;
  bool transposed = false;
};
RightMatrix Plain(ConstTensorView w);       // x W, w [depth, columns].
RightMatrix Transposed(ConstTensorView w);  // x W^T, w [columns, depth].

// y (+)= x b. A product is rounded before it is added.
void Product(ConstTensorView x,  // [rows, b.depth]
             const RightMatrix& b,
             TensorView y,  // [rows, b.columns]
             Accumulate accumulate, Stream& stream);

inline constexpr int64_t kTileRows = 64;

// The distinct calls to oneDNN, for kTileRows rows, that products with a right-hand matrix of this
// shape are made of. Where rows are padded or added, the same calls write densely, with c_stride ==
// columns.
std::vector<OnednnMatmulShape> ProductCalls(int64_t depth, int64_t columns, bool transposed);

// How row counts are made equivalent: with kAny, oneDNN is given any count; with kPadded, 64, 48 or
// 16, the last rows filled up with zeros.
enum class RowCounts { kAny, kPadded };
RowCounts CurrentRowCounts();         // kPadded at first.
void SetRowCounts(RowCounts counts);  // REQUIRES: no kernel runs meanwhile.

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_TILES_H_
