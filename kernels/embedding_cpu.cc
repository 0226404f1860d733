#include "kernels/embedding_cpu.h"

#include <algorithm>

#include "kernels/vector_math.h"

namespace alchemist {
namespace {

ALCHEMIST_VECTOR_CLONES
void AddTo(const float* x, int64_t count, float* sum) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

}  // namespace

// A token may occur often, so that tiles are columns, each over all rows in order.
void EmbeddingBackwardCpu(absl::Span<const int32_t> tokens, ConstTensorView dx, TensorView dtable,
                          Stream& stream) {
  constexpr int64_t kColumns = 64;
  stream.pool().ParallelFor((dx.width + kColumns - 1) / kColumns, [&](int64_t tile) {
    const int64_t first = tile * kColumns;
    const int64_t columns = std::min(kColumns, dx.width - first);
    for (int64_t row = 0; row < dx.rows; ++row) {
      AddTo(dx.Row<float>(row) + first, columns, dtable.Row<float>(tokens[row]) + first);
    }
  });
}

}  // namespace alchemist
