// The pairs of a query tile and a key tile are run in waves. A pair comes in the first wave after
// the pair with the same query tile and the keys before, whose dq it adds to, and after the pair
// with the same keys and the query rows before, whose dk and dv it adds to: for one sequence the
// waves are the diagonals. That is the order of sums that attention.h promises, at any number of
// threads, and within a wave no two pairs write the same rows.
#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernels/attention_cpu.h"
#include "kernels/attention_simd.h"
#include "kernels/attention_tiles.h"
#include "kernels/bf16.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

constexpr int64_t kKeysPerTile = 4 * kKeysPerBlock;

// Adjacent query rows of one span.
struct QueryTile {
  const AttentionGradSpan* span;
  int64_t first;  // Within the span.
  int64_t rows;

  absl::Span<const int32_t> positions() const { return span->positions.subspan(first, rows); }
  int64_t key_tiles() const { return positions().back() / kKeysPerTile + 1; }
};

std::vector<QueryTile> CutIntoTiles(const AttentionShape& shape,
                                    absl::Span<const AttentionGradSpan> spans) {
  const int64_t rows_per_tile = AttentionRowsPerTile(shape);
  std::vector<QueryTile> tiles;
  for (const AttentionGradSpan& span : spans) {
    const int64_t rows = static_cast<int64_t>(span.positions.size());
    for (int64_t first = 0; first < rows; first += rows_per_tile) {
      tiles.push_back({&span, first, std::min(rows_per_tile, rows - first)});
    }
  }
  return tiles;
}

// A pair's dense matrices, in the thread's scratch.
struct Working {
  Working(int64_t row_heads, int64_t width) {
    thread_local Scratch<float> floats;
    thread_local Scratch<int32_t> counts;
    thread_local Scratch<float*> pointers;
    float* next = floats.Get(row_heads * (2 * width + 2) + 4 * kKeysPerBlock * width);
    const auto take = [&](int64_t count) {
      next += count;
      return next - count;
    };
    q = take(row_heads * width);
    dout = take(row_heads * width);
    k = take(kKeysPerBlock * width);
    v = take(kKeysPerBlock * width);
    k_transposed = take(kKeysPerBlock * width);
    v_transposed = take(kKeysPerBlock * width);
    lse = take(row_heads);
    dout_out = take(row_heads);
    visible = counts.Get(row_heads);
    dq = pointers.Get(row_heads + 2 * kKeysPerBlock);
    dk = dq + row_heads;
    dv = dk + kKeysPerBlock;
  }
  float *q, *dout, *k, *v, *k_transposed, *v_transposed, *lse, *dout_out;
  int32_t* visible;
  float **dq, **dk, **dv;
};

template <typename T>
class Backward {
 public:
  Backward(const AttentionShape& shape, const RowPieces& q, const RowPieces& out,
           const RowPieces& lse, ConstTensorView dout, TensorView dq, float* dout_out)
      : shape_(shape),
        group_(shape.heads / shape.kv_heads),
        width_(shape.head_dim),
        level_(AttentionSimdLevel(shape)),
        q_(q),
        out_(out),
        lse_(lse),
        dout_(dout),
        dq_(dq),
        dout_out_(dout_out) {}

  // One pair, for one kv head.
  void Run(const QueryTile& tile, int64_t key_tile, int64_t kv_head) const {
    const int64_t row_heads = tile.rows * group_;
    const Working w(row_heads, width_);
    if (key_tile == 0) Begin(tile, kv_head, w);
    GatherRows(tile, kv_head, w);
    const absl::Span<const int32_t> positions = tile.positions();
    const int64_t end = positions.back() + 1;
    const int64_t first_key = key_tile * kKeysPerTile;
    for (int64_t key = first_key; key < std::min(first_key + kKeysPerTile, end);
         key += kKeysPerBlock) {
      GatherKeys<T>(shape_, tile.span->kv, kv_head, key, end, w.k, w.v);
      ALCHEMIST_SIMD_VERSION(level_, TransposeKeys)(w.k, width_, w.k_transposed);
      ALCHEMIST_SIMD_VERSION(level_, TransposeKeys)(w.v, width_, w.v_transposed);
      PointAtGradients(tile.span->kv_grad, kv_head, key, end, w);
      const int64_t blind = SetVisible(positions, group_, key, w.visible);
      ALCHEMIST_SIMD_VERSION(level_, AttentionBackwardBlock)
      ({.head_dim = width_,
        .scale = shape_.scale,
        .k = w.k,
        .v = w.v,
        .k_transposed = w.k_transposed,
        .v_transposed = w.v_transposed},
       {.count = row_heads - blind,
        .q = w.q + blind * width_,
        .dout = w.dout + blind * width_,
        .lse = w.lse + blind,
        .dout_out = w.dout_out + blind,
        .visible = w.visible + blind,
        .dq = w.dq + blind},
       w.dk, w.dv);
    }
  }

 private:
  // What a tile's first pair sets for those after it: dq = 0, and dout . out.
  void Begin(const QueryTile& tile, int64_t kv_head, const Working& w) const {
    for (int64_t t = 0; t < tile.rows; ++t) {
      const int64_t row = tile.span->first_row + tile.first + t;
      const int64_t first_column = kv_head * group_ * width_;
      std::fill_n(dq_.Row<float>(row) + first_column, group_ * width_, 0.0f);
      // The tile's q is gathered later: until then its memory holds rows of `out`.
      const float* const out = AsF32(out_.Row<T>(row) + first_column, group_ * width_, w.q);
      for (int64_t i = 0; i < group_; ++i) {
        const float* const dout = dout_.Row<float>(row) + first_column;
        dout_out_[row * shape_.heads + kv_head * group_ + i] =
            ALCHEMIST_SIMD_VERSION(level_, OrderedDot)(dout + i * width_, out + i * width_, width_);
      }
    }
  }

  void GatherRows(const QueryTile& tile, int64_t kv_head, const Working& w) const {
    for (int64_t t = 0; t < tile.rows; ++t) {
      const int64_t row = tile.span->first_row + tile.first + t;
      const int64_t head = kv_head * group_;
      const int64_t r = t * group_;
      CopyAsF32(q_.Row<T>(row) + head * width_, group_ * width_, w.q + r * width_);
      std::copy_n(dout_.Row<float>(row) + head * width_, group_ * width_, w.dout + r * width_);
      std::copy_n(lse_.Row<float>(row) + head, group_, w.lse + r);
      std::copy_n(dout_out_ + row * shape_.heads + head, group_, w.dout_out + r);
      for (int64_t i = 0; i < group_; ++i) {
        w.dq[r + i] = dq_.Row<float>(row) + (head + i) * width_;
      }
    }
  }

  void PointAtGradients(absl::Span<const KvGradRun> runs, int64_t kv_head, int64_t first,
                        int64_t end, const Working& w) const {
    for (int64_t i = 0; i < std::min(kKeysPerBlock, end - first); ++i) {
      const KvGradRun& run = RunOf(runs, first + i);
      const int64_t row = first + i - run.first_position;
      w.dk[i] = run.dk.Row<float>(row) + kv_head * width_;
      w.dv[i] = run.dv.Row<float>(row) + kv_head * width_;
    }
  }

  const AttentionShape& shape_;
  const int64_t group_;
  const int64_t width_;
  const SimdLevel level_;
  const RowPieces& q_;
  const RowPieces& out_;
  const RowPieces& lse_;
  const ConstTensorView dout_;
  const TensorView dq_;
  float* const dout_out_;  // [rows, heads]
};

struct Pair {
  int64_t query_tile;
  int64_t key_tile;
};

// Key tiles of two spans are the same when their first keys are: spans share prefixes of K/V.
std::vector<std::vector<Pair>> CutIntoWaves(const std::vector<QueryTile>& tiles) {
  std::vector<std::vector<Pair>> waves;
  absl::flat_hash_map<const float*, int64_t> next_wave_of_keys;
  for (int64_t i = 0; i < static_cast<int64_t>(tiles.size()); ++i) {
    int64_t next_wave = 0;
    for (int64_t j = 0; j < tiles[i].key_tiles(); ++j) {
      const int64_t first_key = j * kKeysPerTile;
      const KvGradRun& run = RunOf(tiles[i].span->kv_grad, first_key);
      int64_t& next_of_keys = next_wave_of_keys[run.dk.Row<float>(first_key - run.first_position)];
      const int64_t wave = std::max(next_wave, next_of_keys);
      if (wave == static_cast<int64_t>(waves.size())) waves.emplace_back();
      waves[wave].push_back({i, j});
      next_wave = next_of_keys = wave + 1;
    }
  }
  return waves;
}

}  // namespace

template <typename T>
void AttentionBackwardCpu(const AttentionShape& shape, absl::Span<const AttentionGradSpan> spans,
                          const RowPieces& q, const RowPieces& out, const RowPieces& lse,
                          ConstTensorView dout, TensorView dq, Stream& stream) {
  thread_local Scratch<float> scratch;
  const Backward<T> backward(shape, q, out, lse, dout, dq, scratch.Get(dout.rows * shape.heads));
  const std::vector<QueryTile> tiles = CutIntoTiles(shape, spans);
  for (const std::vector<Pair>& pairs : CutIntoWaves(tiles)) {
    const int64_t count = static_cast<int64_t>(pairs.size());
    stream.pool().ParallelFor(count * shape.kv_heads, [&](int64_t i) {
      const Pair& pair = pairs[i % count];
      backward.Run(tiles[pair.query_tile], pair.key_tile, i / count);
    });
  }
}

template void AttentionBackwardCpu<float>(const AttentionShape&,
                                          absl::Span<const AttentionGradSpan>, const RowPieces&,
                                          const RowPieces&, const RowPieces&, ConstTensorView,
                                          TensorView, Stream&);
template void AttentionBackwardCpu<Bf16>(const AttentionShape&, absl::Span<const AttentionGradSpan>,
                                         const RowPieces&, const RowPieces&, const RowPieces&,
                                         ConstTensorView, TensorView, Stream&);

}  // namespace alchemist
