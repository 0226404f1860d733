#include "kernels/row_sum.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace alchemist {
namespace {

// A tile is a strip of columns, so that every sum belongs to one thread.
constexpr int64_t kColumnsPerTile = 256;

}  // namespace

void AddRowSum(ConstTensorView x, TensorView sum, Stream& stream) {
  CheckShape("AddRowSum x", x, x.rows, sum.width, DType::kF32);
  CheckShape("AddRowSum sum", sum, 1, sum.width, DType::kF32);
  float* const sums = sum.Row<float>(0);
  const int64_t tiles = (x.width + kColumnsPerTile - 1) / kColumnsPerTile;
  stream.pool().ParallelFor(tiles, [&](int64_t tile) {
    const int64_t first = tile * kColumnsPerTile;
    const int64_t end = std::min(first + kColumnsPerTile, x.width);
    for (int64_t t = 0; t < x.rows; ++t) {
      const float* const row = x.Row<float>(t);
      for (int64_t j = first; j < end; ++j) sums[j] += row[j];
    }
  });
}

}  // namespace alchemist
