#include "kernels/linear.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/logging.h"
#include "kernels/accumulate.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/lora_down.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_tiles.h"
#include "kernels/product_tile.h"
#include "kernels/row_phase.h"
#include "kernels/scratch.h"
#include "kernels/thin_product.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

ALCHEMIST_VECTOR_CLONES
void AddRow(const float* __restrict from, int64_t count, float* __restrict sums) {
  for (int64_t j = 0; j < count; ++j) sums[j] += from[j];
}

ALCHEMIST_VECTOR_CLONES
void AddRow(const Bf16* __restrict from, int64_t count, float* __restrict sums) {
  for (int64_t j = 0; j < count; ++j) sums[j] += ToF32(from[j]);
}

// What one linear's adapter adds to some rows.
struct Adapted {
  int64_t linear;  // Of the call's.
  LoraSegment segment;
  TensorView u = {};   // [segment.rows, rank]: scale * x A^T
  ThinMatrix up = {};  // B^T, but for decode rows

  bool HasRowsOf(const Adapted& other) const {
    return segment.first_row == other.segment.first_row && segment.rows == other.segment.rows;
  }
};

// The calling thread's memory of a call, which the tiles of all threads read.
struct CallMemory {
  Scratch<float> u;
  std::vector<Scratch<float>> down, up;  // Per Adapted.
  std::vector<Scratch<float>> bias;      // Per linear.
};

// Those with the same rows one after the other.
std::vector<Adapted> AdaptedRows(absl::Span<const LinearOutput> linears, CallMemory& memory) {
  std::vector<Adapted> all;
  int64_t floats = 0;
  for (size_t i = 0; i < linears.size(); ++i) {
    for (const LoraSegment& segment : linears[i].adapters) {
      if (segment.weights.a.data == nullptr || segment.rows == 0) continue;
      all.push_back({static_cast<int64_t>(i), segment});
      floats += segment.rows * segment.weights.a.rows;
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Adapted& a, const Adapted& b) {
    return std::pair(a.segment.first_row, a.segment.rows) <
           std::pair(b.segment.first_row, b.segment.rows);
  });
  float* next = memory.u.Get(floats);
  for (Adapted& adapted : all) {
    const LoraSegment& segment = adapted.segment;
    adapted.u = {next, segment.rows, segment.weights.a.rows, DType::kF32};
    next += segment.rows * segment.weights.a.rows;
  }
  return all;
}

// u of decode rows that all of `same` adapt.
void GoDownDecoding(ConstTensorView x, absl::Span<Adapted> same, Stream& stream) {
  std::vector<DecodeLinear> a;
  for (const Adapted& adapted : same) a.push_back({adapted.segment.weights.a});
  DecodeProducts(
      x, a, [&](const ProductTile& tile) { MoveTile(tile, same[tile.product].u, /*add=*/false); },
      stream);
  for (const Adapted& adapted : same) Scale(adapted.segment.weights.scale, adapted.u);
}

// The same of other rows. `down` and `up` are memory for each.
void GoDown(ConstTensorView x, absl::Span<Adapted> same, Scratch<float>* down, Scratch<float>* up,
            Stream& stream) {
  std::vector<ThinMatrix> a;
  for (size_t i = 0; i < same.size(); ++i) {
    a.push_back(ThinTransposed(same[i].segment.weights.a, down[i]));
    same[i].up = ThinTransposed(same[i].segment.weights.b, up[i]);
  }
  ForEachLoraTile(stream, x.rows, [&](int64_t first, int64_t count) {
    thread_local Scratch<float> scratch;
    const ConstTensorView rows = {AsF32(x.Rows(first, count), scratch), count, x.width,
                                  DType::kF32};
    for (size_t i = 0; i < same.size(); ++i) {
      LoraDown(rows, a[i], same[i].segment.weights.scale, same[i].u.Rows(first, count));
    }
  });
}

std::vector<Adapted> GoDown(ConstTensorView x, absl::Span<const LinearOutput> linears,
                            RowPhase phase, CallMemory& memory, Stream& stream) {
  std::vector<Adapted> all = AdaptedRows(linears, memory);
  if (memory.up.size() < all.size()) memory.up.resize(all.size());
  if (memory.down.size() < all.size()) memory.down.resize(all.size());
  for (size_t first = 0, end = 0; first < all.size(); first = end) {
    while (end < all.size() && all[end].HasRowsOf(all[first])) ++end;
    const ConstTensorView rows = x.Rows(all[first].segment.first_row, all[first].segment.rows);
    const absl::Span<Adapted> same = absl::MakeSpan(all).subspan(first, end - first);
    if (phase == RowPhase::kDecode) {
      GoDownDecoding(rows, same, stream);
    } else {
      GoDown(rows, same, &memory.down[first], &memory.up[first], stream);
    }
  }
  return all;
}

// sums += u B^T, for the rows of a tile that have this adapter.
void AddUp(const Adapted& adapted, const ProductTile& tile) {
  const int64_t first = adapted.segment.first_row;
  const int64_t begin = std::max(tile.first_row, first);
  const int64_t end = std::min(tile.first_row + tile.sums.rows, first + adapted.segment.rows);
  if (begin >= end) return;
  ThinMatrix up = adapted.up;
  up.data += tile.first_column;
  up.columns = tile.sums.width;
  ThinProduct(adapted.u.Rows(begin - first, end - begin), up,
              tile.sums.Rows(begin - tile.first_row, end - begin), Accumulate::kYes);
}

template <typename T>
void AddResidual(ConstTensorView residual, const ProductTile& tile) {
  for (int64_t t = 0; t < tile.sums.rows; ++t) {
    AddRow(residual.Row<T>(tile.first_row + t) + tile.first_column, tile.sums.width,
           tile.sums.Row<float>(t));
  }
}

void Store(const ProductTile& tile, TensorView y) {
  if (y.dtype == DType::kF32) return MoveTile(tile, y, /*add=*/false);
  for (int64_t t = 0; t < tile.sums.rows; ++t) {
    Round(tile.sums.Row<float>(t), tile.sums.width,
          y.Row<Bf16>(tile.first_row + t) + tile.first_column);
  }
}

void DecodeLinears(ConstTensorView x, absl::Span<const LinearOutput> linears,
                   absl::Span<const Adapted> adapted, FinishTile finish, Stream& stream) {
  std::vector<std::vector<DecodeAdapter>> adapters(linears.size());
  for (const Adapted& each : adapted) {
    const LoraSegment& segment = each.segment;
    adapters[each.linear].push_back({segment.first_row, each.u, segment.weights.b});
  }
  std::vector<DecodeLinear> all;
  for (size_t i = 0; i < linears.size(); ++i) all.push_back({linears[i].w.values, adapters[i]});
  DecodeProducts(x, all, finish, stream);
}

void CheckLinear(ConstTensorView x, const LinearOutput& linear) {
  const WeightView& w = linear.w;
  CheckShape("LinearForward x", x, x.rows, w.in(), w.values.dtype);
  CheckShape("LinearForward y", linear.y, x.rows, w.out(),
             linear.y.dtype == DType::kF32 ? DType::kF32 : x.dtype);
  CheckLoraSegments("LinearForward", linear.adapters, x.rows, w.in(), w.out());
  if (w.bias.data != nullptr) CheckShape("LinearForward bias", w.bias, 1, w.out(), x.dtype);
  if (linear.residual.data == nullptr) return;
  CheckShape("LinearForward residual", linear.residual, x.rows, w.out(), x.dtype);
}

}  // namespace

void LinearForward(ConstTensorView x, absl::Span<const LinearOutput> linears, RowPhase phase,
                   Stream& stream) {
  CheckFloat("LinearForward", x.dtype);
  for (const LinearOutput& linear : linears) CheckLinear(x, linear);
  thread_local CallMemory memory;
  const std::vector<Adapted> adapted = GoDown(x, linears, phase, memory, stream);
  if (memory.bias.size() < linears.size()) memory.bias.resize(linears.size());
  absl::InlinedVector<const float*, 4> biases;
  for (size_t i = 0; i < linears.size(); ++i) {
    const ConstTensorView bias = linears[i].w.bias;
    biases.push_back(bias.data == nullptr ? nullptr : AsF32(bias, memory.bias[i]));
  }
  // Decode rows' sums have what adapters add already.
  const bool decode = phase == RowPhase::kDecode;
  const absl::Span<const Adapted> after = decode ? absl::Span<const Adapted>() : adapted;
  const auto finish = [&](const ProductTile& tile) {
    const LinearOutput& linear = linears[tile.product];
    const float* const bias = biases[tile.product];
    for (int64_t t = 0; bias != nullptr && t < tile.sums.rows; ++t) {
      AddRow(bias + tile.first_column, tile.sums.width, tile.sums.Row<float>(t));
    }
    for (const Adapted& each : after) {
      if (each.linear == tile.product) AddUp(each, tile);
    }
    if (linear.residual.data != nullptr) {
      DispatchDType("LinearForward", x.dtype,
                    [&]<typename T>(T) { AddResidual<T>(linear.residual, tile); });
    }
    Store(tile, linear.y);
  };
  if (decode) return DecodeLinears(x, linears, adapted, finish, stream);
  absl::InlinedVector<RightMatrix, 4> w;
  for (const LinearOutput& linear : linears) w.push_back(Transposed(linear.w.values));
  Products(x, w, finish, stream);
}

}  // namespace alchemist
