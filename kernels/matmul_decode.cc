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

// What the loops read of a weight in memory.
const float* Elements(const float* w) { return w; }
const uint16_t* Elements(const Bf16* w) { return &w->bits; }

// Rows of a product of which all, or none, have one adapter.
struct Rows {
  int64_t first;
  int64_t count;
  const DecodeAdapter* adapter;  // Or null.
};

std::vector<Rows> CutRows(int64_t rows, const DecodeLinear& linear) {
  std::vector<Rows> cut;
  int64_t next = 0;
  for (const DecodeAdapter& adapter : linear.adapters) {
    CHECK_GE(adapter.first_row, next);
    CheckShape("DecodeProducts u", adapter.u, adapter.u.rows, adapter.b.width, DType::kF32);
    CheckShape("DecodeProducts b", adapter.b, linear.w.rows, adapter.b.width, DType::kF32);
    if (adapter.first_row > next) cut.push_back({next, adapter.first_row - next, nullptr});
    if (adapter.u.rows > 0) cut.push_back({adapter.first_row, adapter.u.rows, &adapter});
    next = adapter.first_row + adapter.u.rows;
  }
  CHECK_LE(next, rows);
  if (next < rows) cut.push_back({next, rows - next, nullptr});
  return cut;
}

// The columns [first, first + y.width) of some rows, on the calling thread.
template <typename T>
void DecodeTile(ConstTensorView x, const DecodeLinear& linear, const Rows& rows, int64_t first,
                TensorView y) {
  DecodeArguments all = {.x = x.Row<float>(rows.first),
                         .rows = rows.count,
                         .w = Elements(linear.w.Row<T>(first)),
                         .outputs = y.width,
                         .depth = linear.w.width,
                         .u = nullptr,
                         .b = nullptr,
                         .rank = 0,
                         .y = y.Row<float>(rows.first),
                         .y_stride = y.width};
  if (rows.adapter != nullptr) {
    all.u = rows.adapter->u.Row<float>(0);
    all.b = rows.adapter->b.Row<float>(first);
    all.rank = rows.adapter->b.width;
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRowsF32)(all);
  } else {
    ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRowsBf16)(all);
  }
}

struct Tile {
  int64_t product;
  int64_t first;  // Of the outputs.
  int64_t outputs;
};

// Large tiles first, since every one begins with waiting for memory, and smaller ones at the end,
// so that no thread waits long for another's last: guided self-scheduling (Polychronopoulos and
// Kuck 1987).
std::vector<Tile> CutIntoTiles(absl::Span<const DecodeLinear> linears, int64_t threads) {
  int64_t left = 0;
  for (const DecodeLinear& linear : linears) left += linear.w.rows * linear.w.width;
  std::vector<Tile> tiles;
  for (size_t product = 0; product < linears.size(); ++product) {
    const ConstTensorView w = linears[product].w;
    const int64_t width = std::max<int64_t>(1, w.width);
    for (int64_t first = 0; first < w.rows;) {
      const int64_t weights =
          std::clamp(2 * left / (3 * threads), kWeightsPerTileMin, kWeightsPerTileMax);
      const int64_t outputs = std::min(
          std::max<int64_t>(1, weights / width / kDecodeOutputs) * kDecodeOutputs, w.rows - first);
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
  const ConstTensorView x_f32 = {AsF32(x, x_scratch), x.rows, x.width, DType::kF32};
  std::vector<std::vector<Rows>> rows;
  for (const DecodeLinear& linear : linears) {
    CHECK_EQ(linear.w.width, x.width);
    rows.push_back(CutRows(x.rows, linear));
  }
  const std::vector<Tile> tiles = CutIntoTiles(linears, stream.pool().threads());
  stream.pool().ParallelFor(static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    thread_local Scratch<float> scratch;
    const auto [product, first, outputs] = tiles[i];
    const DecodeLinear& linear = linears[product];
    const TensorView sums = {scratch.Get(x.rows * outputs), x.rows, outputs, DType::kF32};
    for (const Rows& part : rows[product]) {
      DispatchDType("DecodeProducts", linear.w.dtype,
                    [&]<typename T>(T) { DecodeTile<T>(x_f32, linear, part, first, sums); });
    }
    finish({product, 0, first, sums});
  });
}

}  // namespace alchemist
