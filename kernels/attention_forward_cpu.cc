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

// Adjacent query rows of one span, for one kv head.
struct Tile {
  const AttentionSpan* span;
  int64_t first;  // Within the span.
  int64_t rows;
  int64_t kv_head;
};

std::vector<Tile> CutIntoTiles(const AttentionShape& shape, absl::Span<const AttentionSpan> spans) {
  const int64_t rows_per_tile = AttentionRowsPerTile(shape);
  std::vector<Tile> tiles;
  for (const AttentionSpan& span : spans) {
    const int64_t rows = static_cast<int64_t>(span.positions.size());
    for (int64_t first = 0; first < rows; first += rows_per_tile) {
      for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
        tiles.push_back({&span, first, std::min(rows_per_tile, rows - first), kv_head});
      }
    }
  }
  return tiles;
}

// A tile's dense matrices, in the thread's scratch.
struct Working {
  Working(int64_t row_heads, int64_t width) {
    thread_local Scratch<float> floats;
    thread_local Scratch<int32_t> counts;
    float* next = floats.Get(row_heads * (2 * width + 2) + 3 * kKeysPerBlock * width);
    const auto take = [&](int64_t count) {
      next += count;
      return next - count;
    };
    q = take(row_heads * width);
    out = take(row_heads * width);
    k = take(kKeysPerBlock * width);
    v = take(kKeysPerBlock * width);
    k_transposed = take(kKeysPerBlock * width);
    max = take(row_heads);
    sum = take(row_heads);
    visible = counts.Get(row_heads);
    std::fill_n(out, row_heads * width, 0.0f);
    std::fill_n(max, row_heads, -std::numeric_limits<float>::infinity());
    std::fill_n(sum, row_heads, 0.0f);
  }
  float *q, *out, *k, *v, *k_transposed, *max, *sum;
  int32_t* visible;
};

template <typename T>
void RunTile(const AttentionShape& shape, const Tile& tile, ConstTensorView q, TensorView out,
             TensorView lse) {
  const AttentionSpan& span = *tile.span;
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t width = shape.head_dim;
  const int64_t row_heads = tile.rows * group;
  const Working w(row_heads, width);
  const int64_t first_head = tile.kv_head * group;
  const int64_t first_row = span.first_row + tile.first;
  for (int64_t t = 0; t < tile.rows; ++t) {
    CopyAsF32(q.Row<T>(first_row + t) + first_head * width, group * width, w.q + t * group * width);
  }

  const SimdLevel level = AttentionSimdLevel(shape);
  const absl::Span<const int32_t> positions = span.positions.subspan(tile.first, tile.rows);
  const int64_t end = positions.back() + 1;
  for (int64_t key = 0; key < end; key += kKeysPerBlock) {
    GatherKeys<T>(shape, span.kv, tile.kv_head, key, end, w.k, w.v);
    ALCHEMIST_SIMD_VERSION(level, TransposeKeys)(w.k, width, w.k_transposed);
    const int64_t blind = SetVisible(positions, group, key, w.visible);
    ALCHEMIST_SIMD_VERSION(level, AttentionForwardBlock)
    ({.head_dim = width,
      .scale = shape.scale,
      .k = w.k,
      .v = w.v,
      .k_transposed = w.k_transposed,
      .v_transposed = nullptr},
     {.count = row_heads - blind,
      .q = w.q + blind * width,
      .visible = w.visible + blind,
      .max = w.max + blind,
      .sum = w.sum + blind,
      .out = w.out + blind * width});
  }

  for (int64_t r = 0; r < row_heads; ++r) {
    const int64_t row = first_row + r / group;
    const int64_t head = first_head + r % group;
    float* const from = w.out + r * width;
    T* const to = out.Row<T>(row) + head * width;
    float* const sums = SumsOf(to, from);
    for (int64_t d = 0; d < width; ++d) sums[d] = from[d] / w.sum[r];
    StoreSums(sums, width, to);
    lse.Row<float>(row)[head] = w.max[r] + std::log(w.sum[r]);
  }
}

}  // namespace

template <typename T>
void AttentionForwardCpu(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                         ConstTensorView q, TensorView out, TensorView lse, Stream& stream) {
  const std::vector<Tile> tiles = CutIntoTiles(shape, spans);
  stream.pool().ParallelFor(static_cast<int64_t>(tiles.size()),
                            [&](int64_t i) { RunTile<T>(shape, tiles[i], q, out, lse); });
}

template void AttentionForwardCpu<float>(const AttentionShape&, absl::Span<const AttentionSpan>,
                                         ConstTensorView, TensorView, TensorView, Stream&);
template void AttentionForwardCpu<Bf16>(const AttentionShape&, absl::Span<const AttentionSpan>,
                                        ConstTensorView, TensorView, TensorView, Stream&);

}  // namespace alchemist
