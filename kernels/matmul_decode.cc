#include "kernels/matmul_decode.h"

#include <algorithm>
#include <vector>

#include "base/logging.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode_simd.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

// Weights of one tile: some microseconds of reading; with many rows of x milliseconds of
// arithmetic.
constexpr int64_t kWeightsPerTileMin = int64_t{16} << 10;
constexpr int64_t kWeightsPerTileMax = int64_t{256} << 10;

// What is added to each of `rows` rows.
std::vector<DecodeRowAdapter> AdaptersOfRows(int64_t rows, const DecodeLinear& linear) {
  std::vector<DecodeRowAdapter> of_rows(rows);
  int64_t next = 0;
  for (const DecodeAdapter& adapter : linear.adapters) {
    CHECK(adapter.first_row >= next && adapter.first_row + adapter.u.rows <= rows)
        << "rows " << adapter.first_row << " + " << adapter.u.rows << " of " << rows;
    CheckShape("DecodeProducts u", adapter.u, adapter.u.rows, adapter.b.width, DType::kF32);
    CheckShape("DecodeProducts b", adapter.b, linear.w.rows, adapter.b.width, DType::kF32);
    next = adapter.first_row + adapter.u.rows;
    for (int64_t t = 0; t < adapter.u.rows; ++t) {
      of_rows[adapter.first_row + t] = {adapter.u.Row<float>(t), adapter.b.Row<float>(0),
                                        adapter.b.width};
    }
  }
  return of_rows;
}

bool MultipliesAsTheyAre(ConstTensorView x, ConstTensorView w) {
  return CurrentSimdLevel() >= SimdLevel::kAvx512Bf16 && x.dtype == DType::kBf16 &&
         w.dtype == DType::kBf16;
}

// By a property of the weights' shape and of the CPU, whatever the rows.
bool MultipliesTiles(ConstTensorView x, ConstTensorView w) {
  return CurrentSimdLevel() >= SimdLevel::kAmxBf16 && MultipliesAsTheyAre(x, w) &&
         w.rows % kDecodeTileOutputs == 0 && w.width % kDecodeTileDepth == 0;
}

// What the loops must have, or are fastest with: multiples of 16 outputs, which tiles must have,
// cost other loops 5% of their speed with eight rows (measured on Zen 4).
int64_t OutputsGranule(ConstTensorView x, ConstTensorView w) {
  return MultipliesTiles(x, w) ? kDecodeTileOutputs : kDecodeOutputs;
}

// Rows of a call, and how they meet the weights of a linear.
struct Rows {
  ConstTensorView x;                // As given.
  ConstTensorView x_f32;            // The same, widened, if some linear needs that,
  const uint16_t* pairs = nullptr;  // and as amx_bf16::PairDecodeRows makes them.

  // The columns [first, first + y.width), on the calling thread.
  void DecodeTile(ConstTensorView w, const DecodeRowAdapter* adapters, int64_t first,
                  TensorView y) const {
    const SimdLevel level = CurrentSimdLevel();
    if (w.dtype == DType::kF32) {
      ALCHEMIST_SIMD_VERSION(level, DecodeRowsF32)
      (Arguments(x_f32.Row<float>(0), w.Row<float>(first), w.width, adapters, first, y));
    } else if (MultipliesTiles(x, w)) {
      CHECK_EQ(y.width % kDecodeTileOutputs, 0);
      amx_bf16::DecodeRowsBf16(
          Arguments(pairs, &w.Row<Bf16>(first)->bits, w.width, adapters, first, y));
    } else if (MultipliesAsTheyAre(x, w)) {
      avx512_bf16::DecodeRowsBf16(
          Arguments(&x.Row<Bf16>(0)->bits, &w.Row<Bf16>(first)->bits, w.width, adapters, first, y));
    } else {
      ALCHEMIST_SIMD_VERSION(level, DecodeRowsBf16)
      (Arguments(x_f32.Row<float>(0), &w.Row<Bf16>(first)->bits, w.width, adapters, first, y));
    }
  }

  template <typename X, typename Weight>
  DecodeArguments<X, Weight> Arguments(const X* rows, const Weight* weights, int64_t depth,
                                       const DecodeRowAdapter* adapters, int64_t first,
                                       TensorView y) const {
    return {.x = rows,
            .rows = x.rows,
            .adapters = adapters,
            .w = weights,
            .outputs = y.width,
            .depth = depth,
            .first_output = first,
            .y = y.Row<float>(0),
            .y_stride = y.width};
  }
};

const uint16_t* PairRows(ConstTensorView x, Scratch<uint16_t>& scratch) {
  const int64_t rows = (x.rows + kDecodeTileRows - 1) / kDecodeTileRows * kDecodeTileRows;
  uint16_t* const pairs = scratch.Get(rows * x.width);
  amx_bf16::PairDecodeRows(&x.Row<Bf16>(0)->bits, x.rows, x.width, pairs);
  return pairs;
}

struct Tile {
  int64_t product;
  int64_t first;  // Of the outputs.
  int64_t outputs;
};

// Large tiles first, since every one begins with waiting for memory, and smaller ones at the end,
// so that no thread waits long for another's last: guided self-scheduling (Polychronopoulos and
// Kuck 1987).
std::vector<Tile> CutIntoTiles(ConstTensorView x, absl::Span<const DecodeLinear> linears,
                               int64_t threads) {
  int64_t left = 0;
  for (const DecodeLinear& linear : linears) left += linear.w.rows * linear.w.width;
  std::vector<Tile> tiles;
  for (size_t product = 0; product < linears.size(); ++product) {
    const ConstTensorView w = linears[product].w;
    const int64_t width = std::max<int64_t>(1, w.width);
    const int64_t granule = OutputsGranule(x, w);
    for (int64_t first = 0; first < w.rows;) {
      const int64_t weights =
          std::clamp(2 * left / (3 * threads), kWeightsPerTileMin, kWeightsPerTileMax);
      const int64_t outputs =
          std::min(std::max<int64_t>(1, weights / width / granule) * granule, w.rows - first);
      tiles.push_back({static_cast<int64_t>(product), first, outputs});
      first += outputs;
      left -= outputs * width;
    }
  }
  return tiles;
}

}  // namespace

void DecodeProducts(ConstTensorView x, absl::Span<const DecodeLinear> linears, FinishTile finish,
                    Stream& stream) {
  if (x.rows == 0) return;
  thread_local Scratch<float> x_scratch;
  thread_local Scratch<uint16_t> pair_scratch;
  Rows rows = {x, {}};
  std::vector<std::vector<DecodeRowAdapter>> adapters;
  for (const DecodeLinear& linear : linears) {
    CHECK_EQ(linear.w.width, x.width);
    CheckFloat("DecodeProducts w", linear.w.dtype);
    adapters.push_back(AdaptersOfRows(x.rows, linear));
    if (MultipliesTiles(x, linear.w) && rows.pairs == nullptr) {
      rows.pairs = PairRows(x, pair_scratch);
    }
    if (!MultipliesAsTheyAre(x, linear.w) && rows.x_f32.data == nullptr) {
      rows.x_f32 = {AsF32(x, x_scratch), x.rows, x.width, DType::kF32};
    }
  }
  const std::vector<Tile> tiles = CutIntoTiles(x, linears, stream.pool().threads());
  stream.pool().ParallelFor(static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    thread_local Scratch<float> scratch;
    const auto [product, first, outputs] = tiles[i];
    const ConstTensorView w = linears[product].w;
    const DecodeRowAdapter* const of_rows = adapters[product].data();
    const TensorView sums = {scratch.Get(x.rows * outputs), x.rows, outputs, DType::kF32};
    rows.DecodeTile(w, of_rows, first, sums);
    finish({product, 0, first, sums});
  });
}

}  // namespace alchemist
