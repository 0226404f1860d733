#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention_cpu.h"
#include "kernels/attention_simd.h"
#include "kernels/attention_tiles.h"
#include "kernels/bf16.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

// Keys are cut at absolute positions, so that a long prefix is work for all threads: of decode
// rows, of which there is one in a tile, into smaller parts.
constexpr int64_t kKeysPerDecodeTile = 4 * kKeysPerBlock;
constexpr int64_t kKeysPerTile = 32 * kKeysPerBlock;

// Adjacent query rows of one span, for one kv head, and keys that some of them see.
struct Tile {
  const AttentionSpan* span;
  int64_t first;  // Within the span.
  int64_t rows;
  int64_t kv_head;
  int64_t first_key;
  int64_t end_key;
};

// A tile's row-heads, over the keys that it has gone through.
struct Softmax {
  Softmax(float* memory, int64_t row_heads, int64_t width)
      : out(memory), max(out + row_heads * width), sum(max + row_heads) {}
  static int64_t Floats(int64_t row_heads, int64_t width) { return row_heads * (width + 2); }

  float *out, *max, *sum;  // As ForwardRows has them.
};

// Those of the same rows and kv head come one after the other, by their keys.
std::vector<Tile> CutIntoTiles(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                               int64_t rows_per_tile, int64_t keys_per_tile) {
  std::vector<Tile> tiles;
  for (const AttentionSpan& span : spans) {
    const int64_t rows = static_cast<int64_t>(span.positions.size());
    for (int64_t first = 0; first < rows; first += rows_per_tile) {
      const int64_t count = std::min(rows_per_tile, rows - first);
      const int64_t end = span.positions[first + count - 1] + 1;
      for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
        for (int64_t key = 0; key < end; key += keys_per_tile) {
          tiles.push_back({&span, first, count, kv_head, key, std::min(key + keys_per_tile, end)});
        }
      }
    }
  }
  return tiles;
}

template <typename T>
void RunTile(const AttentionShape& shape, const Tile& tile, ConstTensorView q, Softmax softmax) {
  thread_local Scratch<float> floats;
  thread_local Scratch<int32_t> counts;
  const AttentionSpan& span = *tile.span;
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t width = shape.head_dim;
  const int64_t row_heads = tile.rows * group;
  const int64_t block = kKeysPerBlock * width;
  float* const q_rows = floats.Get(row_heads * width + 3 * block);
  float* const k = q_rows + row_heads * width;
  float* const v = k + block;
  float* const k_transposed = v + block;
  int32_t* const visible = counts.Get(row_heads);
  for (int64_t t = 0; t < tile.rows; ++t) {
    CopyAsF32(q.Row<T>(span.first_row + tile.first + t) + tile.kv_head * group * width,
              group * width, q_rows + t * group * width);
  }
  std::fill_n(softmax.out, row_heads * width, 0.0f);
  std::fill_n(softmax.max, row_heads, -std::numeric_limits<float>::infinity());
  std::fill_n(softmax.sum, row_heads, 0.0f);

  const SimdLevel level = AttentionSimdLevel(shape);
  const absl::Span<const int32_t> positions = span.positions.subspan(tile.first, tile.rows);
  for (int64_t key = tile.first_key; key < tile.end_key; key += kKeysPerBlock) {
    PrefetchKeys<T>(shape, span.kv, tile.kv_head, key + kKeysPerBlock, tile.end_key);
    GatherKeys<T>(shape, span.kv, tile.kv_head, key, tile.end_key, k, v);
    ALCHEMIST_SIMD_VERSION(level, TransposeKeys)(k, width, k_transposed);
    const int64_t blind = SetVisible(positions, group, key, visible);
    ALCHEMIST_SIMD_VERSION(level, AttentionForwardBlock)
    ({.head_dim = width,
      .scale = shape.scale,
      .k = k,
      .v = v,
      .k_transposed = k_transposed,
      .v_transposed = nullptr},
     {.count = row_heads - blind,
      .q = q_rows + blind * width,
      .visible = visible + blind,
      .max = softmax.max + blind,
      .sum = softmax.sum + blind,
      .out = softmax.out + blind * width});
  }
}

// softmax: over its keys and then those of `next`. A row-head that sees none of those keeps its
// bits.
void Join(int64_t row_heads, int64_t width, const Softmax& next, Softmax softmax) {
  for (int64_t r = 0; r < row_heads; ++r) {
    const float max = std::max(softmax.max[r], next.max[r]);
    const float before = std::exp(softmax.max[r] - max), after = std::exp(next.max[r] - max);
    softmax.max[r] = max;
    softmax.sum[r] = softmax.sum[r] * before + next.sum[r] * after;
    float* const out = softmax.out + r * width;
    for (int64_t d = 0; d < width; ++d) {
      out[d] = out[d] * before + next.out[r * width + d] * after;
    }
  }
}

template <typename T>
void StoreTile(const AttentionShape& shape, const Tile& tile, const Softmax& softmax,
               TensorView out, TensorView lse) {
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t width = shape.head_dim;
  for (int64_t r = 0; r < tile.rows * group; ++r) {
    const int64_t row = tile.span->first_row + tile.first + r / group;
    const int64_t head = tile.kv_head * group + r % group;
    float* const from = softmax.out + r * width;
    T* const to = out.Row<T>(row) + head * width;
    float* const sums = SumsOf(to, from);
    for (int64_t d = 0; d < width; ++d) sums[d] = from[d] / softmax.sum[r];
    StoreSums(sums, width, to);
    lse.Row<float>(row)[head] = softmax.max[r] + std::log(softmax.sum[r]);
  }
}

}  // namespace

template <typename T>
void AttentionForwardCpu(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                         ConstTensorView q, TensorView out, TensorView lse, RowPhase phase,
                         Stream& stream) {
  thread_local Scratch<float> scratch;
  const bool decode = phase == RowPhase::kDecode;
  const int64_t rows_per_tile = decode ? 1 : AttentionRowsPerTile(shape);
  const std::vector<Tile> tiles =
      CutIntoTiles(shape, spans, rows_per_tile, decode ? kKeysPerDecodeTile : kKeysPerTile);
  const int64_t row_heads = rows_per_tile * (shape.heads / shape.kv_heads);
  const int64_t floats = Softmax::Floats(row_heads, shape.head_dim);
  float* const memory = scratch.Get(floats * static_cast<int64_t>(tiles.size()));
  const auto softmax_of = [&](size_t i) {
    return Softmax(memory + floats * static_cast<int64_t>(i), row_heads, shape.head_dim);
  };
  std::vector<size_t> firsts;  // Of the tiles of the same rows and kv head.
  for (size_t i = 0; i < tiles.size(); ++i) {
    if (tiles[i].first_key == 0) firsts.push_back(i);
  }
  stream.pool().ParallelFor(static_cast<int64_t>(tiles.size()),
                            [&](int64_t i) { RunTile<T>(shape, tiles[i], q, softmax_of(i)); });
  const auto join = [&](int64_t i) {
    const size_t first = firsts[i];
    const int64_t count = tiles[first].rows * (shape.heads / shape.kv_heads);
    for (size_t next = first + 1; next < tiles.size() && tiles[next].first_key > 0; ++next) {
      Join(count, shape.head_dim, softmax_of(next), softmax_of(first));
    }
    StoreTile<T>(shape, tiles[first], softmax_of(first), out, lse);
  };
  const int64_t joins = static_cast<int64_t>(firsts.size());
  if (!decode) return stream.pool().ParallelFor(joins, join);
  // A hundredth of one thread's work: less than waking another one.
  for (int64_t i = 0; i < joins; ++i) join(i);
}

template void AttentionForwardCpu<float>(const AttentionShape&, absl::Span<const AttentionSpan>,
                                         ConstTensorView, TensorView, TensorView, RowPhase,
                                         Stream&);
template void AttentionForwardCpu<Bf16>(const AttentionShape&, absl::Span<const AttentionSpan>,
                                        ConstTensorView, TensorView, TensorView, RowPhase, Stream&);

}  // namespace alchemist
