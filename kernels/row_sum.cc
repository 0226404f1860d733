#include "kernels/row_sum.h"

#include <algorithm>

#include "base/logging.h"
#include "kernels/dispatch.h"

namespace alchemist {
namespace {

// A tile is a strip of columns, so that every sum belongs to one thread.
constexpr int64_t kColumnsPerTile = 256;

}  // namespace

void AddRowSum(ConstTensorView x, TensorView sum, Stream& stream) {
  CHECK_EQ(sum.rows, 1);
  CHECK_EQ(sum.width, x.width);
  float* const sums = sum.Row<float>(0);
  const int64_t tiles = (x.width + kColumnsPerTile - 1) / kColumnsPerTile;
  DispatchDType("AddRowSum", x.dtype, [&](auto element) {
    using T = decltype(element);
    stream.pool().ParallelFor(tiles, [&](int64_t tile) {
      const int64_t first = tile * kColumnsPerTile;
      const int64_t end = std::min(first + kColumnsPerTile, x.width);
      for (int64_t t = 0; t < x.rows; ++t) {
        const T* const row = x.Row<T>(t);
        for (int64_t j = first; j < end; ++j) sums[j] += static_cast<float>(row[j]);
      }
    });
  });
}

}  // namespace alchemist
