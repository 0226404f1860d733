#include "kernels/linear.h"

#include <algorithm>
#include <vector>

#include "base/logging.h"
#include "kernels/accumulate.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/lora_down.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_tiles.h"
#include "kernels/product_tile.h"
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

// A segment's way through A, and what its way through B needs.
struct Adapted {
  int64_t first_row = 0;
  TensorView u;       // [rows, rank]: scale * x A^T
  ConstTensorView b;  // [out, rank], for decode rows
  ThinMatrix up;      // B^T, for others
};

// The calling thread's memory of a call, which the tiles of all threads read.
struct CallMemory {
  Scratch<float> u, bias, down;
  std::vector<Scratch<float>> up;  // Per segment.
};

std::vector<Adapted> GoDown(ConstTensorView x, absl::Span<const LoraSegment> segments,
                            RowPhase phase, CallMemory& memory, Stream& stream) {
  int64_t floats = 0;
  for (const LoraSegment& segment : segments) floats += segment.rows * segment.weights.a.rows;
  float* next = memory.u.Get(floats);
  if (memory.up.size() < segments.size()) memory.up.resize(segments.size());
  std::vector<Adapted> all;
  for (const LoraSegment& segment : segments) {
    const LoraView& weights = segment.weights;
    if (weights.a.data == nullptr || segment.rows == 0) continue;
    const TensorView u = {next, segment.rows, weights.a.rows, DType::kF32};
    next += segment.rows * weights.a.rows;
    const ConstTensorView rows = x.Rows(segment.first_row, segment.rows);
    if (phase == RowPhase::kDecode) {
      DecodeProduct(
          rows, weights.a, [&](const ProductTile& tile) { MoveTile(tile, u, /*add=*/false); },
          stream);
      Scale(weights.scale, u);
      all.push_back({segment.first_row, u, weights.b, {}});
      continue;
    }
    const ThinMatrix down = ThinTransposed(weights.a, memory.down);
    ForEachLoraTile(stream, segment.rows, [&](int64_t first, int64_t count) {
      LoraDown(rows.Rows(first, count), down, weights.scale, u.Rows(first, count));
    });
    all.push_back({segment.first_row, u, {}, ThinTransposed(weights.b, memory.up[all.size()])});
  }
  return all;
}

// sums += u B^T, for the rows of a tile that have this adapter.
void AddUp(const Adapted& adapted, const ProductTile& tile) {
  const int64_t begin = std::max(tile.first_row, adapted.first_row);
  const int64_t end = std::min(tile.first_row + tile.sums.rows, adapted.first_row + adapted.u.rows);
  if (begin >= end) return;
  const TensorView u = adapted.u.Rows(begin - adapted.first_row, end - begin);
  const TensorView sums = tile.sums.Rows(begin - tile.first_row, end - begin);
  if (adapted.b.data == nullptr) {
    ThinMatrix up = adapted.up;
    up.data += tile.first_column;
    up.columns = sums.width;
    return ThinProduct(u, up, sums, Accumulate::kYes);
  }
  thread_local Scratch<float> scratch;
  const TensorView product = {scratch.Get(sums.rows * sums.width), sums.rows, sums.width,
                              DType::kF32};
  DecodeRows(u, adapted.b.Rows(tile.first_column, sums.width), product);
  AddRow(product.Row<float>(0), sums.rows * sums.width, sums.Row<float>(0));
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

}  // namespace

void LinearForward(ConstTensorView x, const WeightView& w, absl::Span<const LoraSegment> adapters,
                   ConstTensorView residual, TensorView y, RowPhase phase, Stream& stream) {
  CheckShape("LinearForward x", x, x.rows, w.in(), w.values.dtype);
  CheckShape("LinearForward y", y, x.rows, w.out(), y.dtype == DType::kF32 ? y.dtype : x.dtype);
  CheckFloat("LinearForward", x.dtype);
  CheckLoraSegments("LinearForward", adapters, x.rows, w.in(), w.out());
  if (residual.data != nullptr) {
    CheckShape("LinearForward residual", residual, x.rows, w.out(), x.dtype);
  }
  thread_local CallMemory memory;
  const std::vector<Adapted> adapted = GoDown(x, adapters, phase, memory, stream);
  const float* bias = nullptr;
  if (w.bias.data != nullptr) {
    CheckShape("LinearForward bias", w.bias, 1, w.out(), x.dtype);
    bias = AsF32(w.bias, memory.bias);
  }
  const auto finish = [&](const ProductTile& tile) {
    for (int64_t t = 0; bias != nullptr && t < tile.sums.rows; ++t) {
      AddRow(bias + tile.first_column, tile.sums.width, tile.sums.Row<float>(t));
    }
    for (const Adapted& segment : adapted) AddUp(segment, tile);
    if (residual.data != nullptr) {
      DispatchDType("LinearForward", x.dtype,
                    [&]<typename T>(T) { AddResidual<T>(residual, tile); });
    }
    Store(tile, y);
  };
  if (phase == RowPhase::kDecode) {
    DecodeProduct(x, w.values, finish, stream);
  } else {
    Product(x, Transposed(w.values), finish, stream);
  }
}

}  // namespace alchemist
