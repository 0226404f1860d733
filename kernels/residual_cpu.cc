#include "kernels/residual_cpu.h"

#include <algorithm>
#include <cstring>

#include "kernels/row_tiles.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

// y may be a or b: an element is read before it is written.
ALCHEMIST_VECTOR_CLONES
void AddElements(const float* a, const float* b, int64_t count, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

}  // namespace

// A row may be named often, so that tiles are columns, each over all rows in order.
void ScatterAddRowsCpu(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                       Stream& stream) {
  constexpr int64_t kColumns = 256;
  stream.pool().ParallelFor((x.width + kColumns - 1) / kColumns, [&](int64_t tile) {
    const int64_t first = tile * kColumns;
    const int64_t columns = std::min(kColumns, x.width - first);
    for (int64_t row = 0; row < x.rows; ++row) {
      float* const sum = y.Row<float>(rows[row]) + first;
      AddElements(sum, x.Row<float>(row) + first, columns, sum);
    }
  });
}

void GatherRowsCpu(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                   Stream& stream) {
  ForEachRowTile(stream, y.rows, y.width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      std::memcpy(y.Rows(row, 1).data, x.Rows(rows[row], 1).data, y.Rows(row, 1).bytes());
    }
  });
}

}  // namespace alchemist
