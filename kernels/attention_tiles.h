// What attention's forward and backward share: how query rows are cut into tiles, and the gathering
// of a tile's rows and of blocks of keys, wherever they lie, into dense f32 matrices. The copies
// are small beside the arithmetic, and the inner loops need to know neither runs nor dtypes.
#ifndef ALCHEMIST_KERNELS_ATTENTION_TILES_H_
#define ALCHEMIST_KERNELS_ATTENTION_TILES_H_

#include <algorithm>
#include <cstdint>

#include "absl/types/span.h"
#include "kernels/attention.h"
#include "kernels/attention_simd.h"
#include "kernels/bf16.h"
#include "kernels/simd_level.h"

namespace alchemist {

// Query rows of a tile: about 128 row-heads (query rows times the heads that share a kv head),
// enough to make a block of keys worth gathering and transposing.
inline int64_t AttentionRowsPerTile(const AttentionShape& shape) {
  return std::max<int64_t>(1, 128 / (shape.heads / shape.kv_heads));
}

// The AVX-512 loops need whole vectors in a head.
inline SimdLevel AttentionSimdLevel(const AttentionShape& shape) {
  return shape.head_dim % 16 == 0 ? CurrentSimdLevel()
                                  : std::min(CurrentSimdLevel(), SimdLevel::kAvx2);
}

// The run that holds `position`. REQUIRES: runs are adjacent and one does.
template <typename Run>
const Run& RunOf(absl::Span<const Run> runs, int64_t position) {
  const auto after = std::upper_bound(
      runs.begin(), runs.end(), position,
      [](int64_t position, const Run& run) { return position < run.first_position; });
  return *(after - 1);
}

// The columns of `kv_head` of the keys [first, min(first + 32, end)), k and v [32, head_dim]; the
// rows after them are zeros.
template <typename T>
void GatherKeys(const AttentionShape& shape, absl::Span<const KvRun> runs, int64_t kv_head,
                int64_t first, int64_t end, float* k, float* v) {
  const int64_t width = shape.head_dim;
  const int64_t count = std::min(kKeysPerBlock, end - first);
  for (int64_t i = 0; i < count; ++i) {
    const KvRun& run = RunOf(runs, first + i);
    const int64_t row = first + i - run.first_position;
    CopyAsF32(run.k.Row<T>(row) + kv_head * width, width, k + i * width);
    CopyAsF32(run.v.Row<T>(row) + kv_head * width, width, v + i * width);
  }
  std::fill(k + count * width, k + kKeysPerBlock * width, 0.0f);
  std::fill(v + count * width, v + kKeysPerBlock * width, 0.0f);
}

// How many keys of the block at `first_key` each row-head of the rows at `positions` sees. Returns
// the first row-head that sees any.
inline int64_t SetVisible(absl::Span<const int32_t> positions, int64_t group, int64_t first_key,
                          int32_t* visible) {
  int64_t blind = 0;
  for (size_t t = 0; t < positions.size(); ++t) {
    const int64_t keys = std::clamp<int64_t>(positions[t] + 1 - first_key, 0, kKeysPerBlock);
    std::fill_n(visible + t * group, group, static_cast<int32_t>(keys));
    if (keys == 0) blind += group;
  }
  return blind;
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ATTENTION_TILES_H_
