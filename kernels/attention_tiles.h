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

// Calls piece(run, row, rows, key) for the adjacent rows, in runs, of the keys [first, end); `key`
// counts from `first`.
template <typename Run, typename Piece>
void ForEachPiece(absl::Span<const Run> runs, int64_t first, int64_t end, const Piece& piece) {
  for (int64_t key = first; key < end;) {
    const Run& run = RunOf(runs, key);
    const int64_t row = key - run.first_position;
    const int64_t rows = std::min(end - key, run.k.rows - row);
    piece(run, row, rows, key - first);
    key += rows;
  }
}

// The columns of `kv_head` of the keys [first, min(first + 32, end)), k and v [32, head_dim]; the
// rows after them are zeros.
template <typename T>
void GatherKeys(const AttentionShape& shape, absl::Span<const KvRun> runs, int64_t kv_head,
                int64_t first, int64_t end, float* k, float* v) {
  const int64_t width = shape.head_dim;
  const int64_t count = std::min(kKeysPerBlock, end - first);
  ForEachPiece(runs, first, first + count,
               [&](const KvRun& run, int64_t row, int64_t rows, int64_t key) {
                 CopyRowsAsF32(run.k.Row<T>(row) + kv_head * width, run.k.width, rows, width,
                               k + key * width);
                 CopyRowsAsF32(run.v.Row<T>(row) + kv_head * width, run.v.width, rows, width,
                               v + key * width);
               });
  std::fill(k + count * width, k + kKeysPerBlock * width, 0.0f);
  std::fill(v + count * width, v + kKeysPerBlock * width, 0.0f);
}

// The rows, by their bits, of the columns of `kv_head` of the 32 keys from `first`; those of keys
// from `end` on are the last one's before it.
struct KeyRows {
  KeyRows(const AttentionShape& shape, absl::Span<const KvRun> runs, int64_t kv_head, int64_t first,
          int64_t end) {
    const int64_t count = std::min(kKeysPerBlock, end - first);
    const int64_t column = kv_head * shape.head_dim;
    ForEachPiece(runs, first, first + count,
                 [&](const KvRun& run, int64_t row, int64_t rows, int64_t key) {
                   for (int64_t i = 0; i < rows; ++i) {
                     k[key + i] = &run.k.Row<Bf16>(row + i)[column].bits;
                     v[key + i] = &run.v.Row<Bf16>(row + i)[column].bits;
                   }
                 });
    std::fill(k + count, k + kKeysPerBlock, k[count - 1]);
    std::fill(v + count, v + kKeysPerBlock, v[count - 1]);
  }

  const uint16_t* k[kKeysPerBlock];
  const uint16_t* v[kKeysPerBlock];
};

// Asks the memory for what will be read of these keys. A head's part of a row is short and the next
// row's lies elsewhere, which the CPU does not foresee.
template <typename T>
void PrefetchKeys(const AttentionShape& shape, absl::Span<const KvRun> runs, int64_t kv_head,
                  int64_t first, int64_t end) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t width = shape.head_dim;
  ForEachPiece(runs, first, std::min(first + kKeysPerBlock, end),
               [&](const KvRun& run, int64_t row, int64_t rows, int64_t) {
                 for (int64_t i = row; i < row + rows; ++i) {
                   for (int64_t d = 0; d < width; d += kLine) {
                     __builtin_prefetch(run.k.Row<T>(i) + kv_head * width + d);
                     __builtin_prefetch(run.v.Row<T>(i) + kv_head * width + d);
                   }
                 }
               });
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
