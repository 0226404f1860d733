#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/attention_amx.h"
#include "kernels/attention_bf16.h"
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

// Those of attention_simd.h, attention_bf16.h and attention_amx.h.
enum class Loops : uint8_t { kF32, kBf16Pairs, kBf16Tiles };

// One decode row is bound by gathering keys, many prompt rows by arithmetic.
template <typename T>
Loops LoopsFor(const AttentionShape& shape, RowPhase phase) {
  if (!std::is_same_v<T, Bf16> || shape.head_dim % avx512_bf16::kHeadDimGranule != 0) {
    return Loops::kF32;
  }
  const SimdLevel level = CurrentSimdLevel();
  if (phase == RowPhase::kDecode) {
    return level >= SimdLevel::kAvx512Bf16 ? Loops::kBf16Pairs : Loops::kF32;
  }
  if (level == SimdLevel::kAmxBf16) return Loops::kBf16Tiles;
  return level == SimdLevel::kAvx512FullRateBf16 ? Loops::kBf16Pairs : Loops::kF32;
}

// Calls block(first_key, rows) for a tile's blocks of keys, with the row-heads that see any of one.
template <typename T, typename Block>
void ForEachBlock(const AttentionShape& shape, const Tile& tile, const Softmax& softmax,
                  const Block& block) {
  thread_local Scratch<int32_t> counts;
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t row_heads = tile.rows * group;
  int32_t* const visible = counts.Get(row_heads);
  const absl::Span<const int32_t> positions = tile.span->positions.subspan(tile.first, tile.rows);
  for (int64_t key = tile.first_key; key < tile.end_key; key += kKeysPerBlock) {
    PrefetchKeys<T>(shape, tile.span->kv, tile.kv_head, key + kKeysPerBlock, tile.end_key);
    const int64_t blind = SetVisible(positions, group, key, visible);
    block(key, blind,
          ForwardRows{.count = row_heads - blind,
                      .q = nullptr,
                      .visible = visible + blind,
                      .max = softmax.max + blind,
                      .sum = softmax.sum + blind,
                      .out = softmax.out + blind * shape.head_dim});
  }
}

// The row-heads' q, dense.
template <typename T, typename Copy>
void GatherQ(const AttentionShape& shape, const Tile& tile, ConstTensorView q, const Copy& copy) {
  const int64_t part = shape.heads / shape.kv_heads * shape.head_dim;
  for (int64_t t = 0; t < tile.rows; ++t) {
    copy(q.Row<T>(tile.span->first_row + tile.first + t) + tile.kv_head * part, part, t * part);
  }
}

template <typename T>
void RunInF32(const AttentionShape& shape, const Tile& tile, ConstTensorView q,
              const Softmax& softmax) {
  thread_local Scratch<float> floats;
  const int64_t width = shape.head_dim;
  const int64_t q_floats = tile.rows * (shape.heads / shape.kv_heads) * width;
  const int64_t block_floats = kKeysPerBlock * width;
  float* const q_rows = floats.Get(q_floats + 3 * block_floats);
  float* const k = q_rows + q_floats;
  float* const v = k + block_floats;
  float* const k_transposed = v + block_floats;
  GatherQ<T>(shape, tile, q, [&](const T* from, int64_t count, int64_t at) {
    CopyAsF32(from, count, q_rows + at);
  });
  const SimdLevel level = AttentionSimdLevel(shape);
  ForEachBlock<T>(shape, tile, softmax, [&](int64_t key, int64_t blind, ForwardRows rows) {
    GatherKeys<T>(shape, tile.span->kv, tile.kv_head, key, tile.end_key, k, v);
    ALCHEMIST_SIMD_VERSION(level, TransposeKeys)(k, width, k_transposed);
    rows.q = q_rows + blind * width;
    ALCHEMIST_SIMD_VERSION(level, AttentionForwardBlock)
    ({.head_dim = width,
      .scale = shape.scale,
      .k = k,
      .v = v,
      .k_transposed = k_transposed,
      .v_transposed = nullptr},
     rows);
  });
}

// `block` is AttentionForwardBlock of one of the bf16 loops.
template <typename Block>
void RunInBf16(const AttentionShape& shape, const Tile& tile, ConstTensorView q,
               const Softmax& softmax, const Block& block) {
  thread_local Scratch<uint16_t> bits;
  const int64_t width = shape.head_dim;
  const int64_t row_heads = tile.rows * (shape.heads / shape.kv_heads);
  // Tiles of row-heads may be read up to their end, which then lies in k.
  static_assert(amx_bf16::kRowsAtOnce <= kKeysPerBlock);
  const int64_t q_elements = row_heads * width;
  const int64_t block_elements = kKeysPerBlock * width;
  uint16_t* const q_rows = bits.Get(q_elements + 2 * block_elements);
  uint16_t* const k = q_rows + q_elements;
  uint16_t* const v = k + block_elements;
  GatherQ<Bf16>(shape, tile, q, [&](const Bf16* from, int64_t count, int64_t at) {
    std::memcpy(q_rows + at, from, count * sizeof(Bf16));
  });
  ForEachBlock<Bf16>(shape, tile, softmax, [&](int64_t key, int64_t blind, ForwardRows rows) {
    const KeyRows of_block(shape, tile.span->kv, tile.kv_head, key, tile.end_key);
    avx512_bf16::PairKeys(of_block.k, width, k);
    avx512_bf16::PairValues(of_block.v, width, v);
    block(avx512_bf16::KeyPairs{.head_dim = width, .scale = shape.scale, .k = k, .v = v},
          q_rows + blind * width, rows);
  });
}

template <typename T>
void RunTile(const AttentionShape& shape, const Tile& tile, ConstTensorView q, RowPhase phase,
             const Softmax& softmax) {
  const int64_t row_heads = tile.rows * (shape.heads / shape.kv_heads);
  std::fill_n(softmax.out, row_heads * shape.head_dim, 0.0f);
  std::fill_n(softmax.max, row_heads, -std::numeric_limits<float>::infinity());
  std::fill_n(softmax.sum, row_heads, 0.0f);
  switch (LoopsFor<T>(shape, phase)) {
    case Loops::kF32:
      return RunInF32<T>(shape, tile, q, softmax);
    case Loops::kBf16Pairs:
      return RunInBf16(shape, tile, q, softmax, avx512_bf16::AttentionForwardBlock);
    case Loops::kBf16Tiles: {
      const amx_bf16::TileScope tiles;
      return RunInBf16(shape, tile, q, softmax, amx_bf16::AttentionForwardBlock);
    }
  }
}

// softmax: over its keys and then those of `next`. A row-head that sees none of those keeps its
// bits.
void Join(int64_t row_heads, int64_t width, const Softmax& next, Softmax softmax) {
  for (int64_t r = 0; r < row_heads; ++r) {
    if (next.sum[r] == 0) continue;  // Not even -0 + 0.
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

// A call's tiles. Those of the same rows and kv head, which see all their keys, are a whole.
class Tiles {
 public:
  explicit Tiles(std::vector<Tile> tiles) : tiles_(std::move(tiles)) {
    for (size_t i = 0; i < tiles_.size(); ++i) {
      if (tiles_[i].first_key == 0) firsts_.push_back(i);
    }
    firsts_.push_back(tiles_.size());
  }

  const Tile& operator[](size_t tile) const { return tiles_[tile]; }
  size_t wholes() const { return firsts_.size() - 1; }
  size_t Begin(size_t whole) const { return firsts_[whole]; }
  // Whether a tile is a whole by itself.
  bool IsAlone(size_t tile) const {
    return tiles_[tile].first_key == 0 &&
           (tile + 1 == tiles_.size() || tiles_[tile + 1].first_key == 0);
  }
  // The whole after those that are worked on together with `first`: so many that all threads have
  // something to do, and so few that what they hold until they are joined is some megabytes.
  size_t GroupEnd(size_t first) const {
    size_t end = first + 1;
    while (end < wholes() && firsts_[end + 1] - firsts_[first] <= kTilesAtOnce) ++end;
    return end;
  }

 private:
  static constexpr size_t kTilesAtOnce = 256;

  std::vector<Tile> tiles_;
  std::vector<size_t> firsts_;  // And the number of tiles at the end.
};

// The wholes [first, end). Joining decode rows' tiles is on the calling thread: a hundredth of one
// thread's work, less than waking another one.
template <typename T>
void ForwardGroupOfTiles(const AttentionShape& shape, const Tiles& tiles, size_t first, size_t end,
                         int64_t rows_per_tile, ConstTensorView q, TensorView out, TensorView lse,
                         RowPhase phase, Stream& stream) {
  thread_local Scratch<float> scratch;
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t floats = Softmax::Floats(rows_per_tile * group, shape.head_dim);
  const size_t begin = tiles.Begin(first);
  const auto count = static_cast<int64_t>(tiles.Begin(end) - begin);
  std::vector<size_t> parted;  // Wholes of several tiles.
  for (size_t whole = first; whole < end; ++whole) {
    if (!tiles.IsAlone(tiles.Begin(whole))) parted.push_back(whole);
  }
  float* const memory = parted.empty() ? nullptr : scratch.Get(floats * count);
  const auto softmax_of = [&](size_t tile) {
    return Softmax(memory + floats * static_cast<int64_t>(tile - begin), rows_per_tile * group,
                   shape.head_dim);
  };
  stream.pool().ParallelFor(count, [&](int64_t i) {
    thread_local Scratch<float> own;
    const size_t tile = begin + static_cast<size_t>(i);
    if (!tiles.IsAlone(tile)) return RunTile<T>(shape, tiles[tile], q, phase, softmax_of(tile));
    const Softmax softmax(own.Get(floats), rows_per_tile * group, shape.head_dim);
    RunTile<T>(shape, tiles[tile], q, phase, softmax);
    StoreTile<T>(shape, tiles[tile], softmax, out, lse);
  });
  const auto join = [&](int64_t i) {
    const size_t whole = parted[i], tile = tiles.Begin(whole);
    for (size_t next = tile + 1; next < tiles.Begin(whole + 1); ++next) {
      Join(tiles[tile].rows * group, shape.head_dim, softmax_of(next), softmax_of(tile));
    }
    StoreTile<T>(shape, tiles[tile], softmax_of(tile), out, lse);
  };
  const auto joins = static_cast<int64_t>(parted.size());
  if (phase == RowPhase::kPrefill && joins > 0) return stream.pool().ParallelFor(joins, join);
  for (int64_t i = 0; i < joins; ++i) join(i);
}

}  // namespace

template <typename T>
void AttentionForwardCpu(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                         ConstTensorView q, TensorView out, TensorView lse, RowPhase phase,
                         Stream& stream) {
  const bool decode = phase == RowPhase::kDecode;
  const int64_t rows_per_tile = decode ? 1 : AttentionRowsPerTile(shape);
  const Tiles tiles(
      CutIntoTiles(shape, spans, rows_per_tile, decode ? kKeysPerDecodeTile : kKeysPerTile));
  for (size_t first = 0; first < tiles.wholes(); first = tiles.GroupEnd(first)) {
    ForwardGroupOfTiles<T>(shape, tiles, first, tiles.GroupEnd(first), rows_per_tile, q, out, lse,
                           phase, stream);
  }
}

template void AttentionForwardCpu<float>(const AttentionShape&, absl::Span<const AttentionSpan>,
                                         ConstTensorView, TensorView, TensorView, RowPhase,
                                         Stream&);
template void AttentionForwardCpu<Bf16>(const AttentionShape&, absl::Span<const AttentionSpan>,
                                        ConstTensorView, TensorView, TensorView, RowPhase, Stream&);

}  // namespace alchemist
