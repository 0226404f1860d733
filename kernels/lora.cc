#include "kernels/lora.h"

#include "absl/functional/function_ref.h"
#include "base/logging.h"
#include "kernels/accumulate.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode.h"
#include "kernels/outer_products.h"
#include "kernels/row_tiles.h"
#include "kernels/scratch.h"
#include "kernels/thin_product.h"

namespace alchemist {
namespace {

void CheckSegment(const char* what, const LoraSegment& segment, int64_t rows, int64_t in,
                  int64_t out) {
  CHECK(segment.first_row >= 0 && segment.rows >= 0 && segment.first_row + segment.rows <= rows)
      << what << ": rows " << segment.first_row << " + " << segment.rows << " of " << rows;
  if (segment.weights.a.data == nullptr) return;
  CheckShape(what, segment.weights.a, segment.weights.a.rows, in, DType::kF32);
  CheckShape(what, segment.weights.b, out, segment.weights.a.rows, DType::kF32);
}

// Rows that go through both matrices at a time: they stay in the second-level cache.
constexpr int64_t kRowsPerTile = 32;

void ForEachTile(Stream& stream, int64_t rows,
                 absl::FunctionRef<void(int64_t first, int64_t count)> tile) {
  ForEachRowTile(stream, rows, 1, tile, kRowsPerTile);
}

void Scale(float scale, TensorView x) {
  for (int64_t t = 0; t < x.rows; ++t) {
    float* const row = x.Row<float>(t);
    for (int64_t j = 0; j < x.width; ++j) row[j] *= scale;
  }
}

ConstTensorView Widened(ConstTensorView x, Scratch<float>& scratch) {
  return {AsF32(x, scratch), x.rows, x.width, DType::kF32};
}

// u = scale * x A^T, a being A^T; likewise scale * dy B. So the scale meets rows `rank` wide.
void ScaledDown(ConstTensorView x, const ThinMatrix& a, float scale, TensorView u) {
  thread_local Scratch<float> scratch;
  ThinProduct(Widened(x, scratch), a, u, Accumulate::kNo);
  Scale(scale, u);
}

void PrefillSegment(ConstTensorView x, const LoraView& weights, TensorView y, Stream& stream) {
  thread_local Scratch<float> a_scratch, b_scratch;
  const ThinMatrix a = ThinTransposed(weights.a, a_scratch);
  const ThinMatrix b = ThinTransposed(weights.b, b_scratch);
  ForEachTile(stream, x.rows, [&](int64_t first, int64_t count) {
    thread_local Scratch<float> scratch;
    const TensorView u = {scratch.Get(count * a.columns), count, a.columns, DType::kF32};
    ScaledDown(x.Rows(first, count), a, weights.scale, u);
    ThinProduct(u, b, y.Rows(first, count), Accumulate::kYes);
  });
}

void DecodeSegment(ConstTensorView x, const LoraView& weights, TensorView y, Stream& stream) {
  thread_local Scratch<float> scratch;
  const int64_t rank = weights.a.rows;
  float* const memory = scratch.Get(y.rows * (rank + y.width));
  const TensorView u = {memory, y.rows, rank, DType::kF32};
  const TensorView product = {memory + y.rows * rank, y.rows, y.width, DType::kF32};
  DecodeProduct(x, weights.a, u, stream);
  Scale(weights.scale, u);
  DecodeProduct(u, weights.b, product, stream);
  ForEachRowTile(stream, y.rows, y.width, [&](int64_t first, int64_t count) {
    const float* const from = product.Row<float>(first);
    float* const to = y.Row<float>(first);
    for (int64_t j = 0; j < count * y.width; ++j) to[j] += from[j];
  });
}

void BackwardSegment(ConstTensorView x, ConstTensorView dy, const LoraView& weights, TensorView dx,
                     TensorView da, TensorView db, Stream& stream) {
  thread_local Scratch<float> scratch, a_scratch, down_scratch, b_scratch;
  const int64_t rank = weights.a.rows;
  float* const memory = scratch.Get(2 * x.rows * rank);
  const TensorView u = {memory, x.rows, rank, DType::kF32};
  const TensorView du = {memory + x.rows * rank, x.rows, rank, DType::kF32};
  const ThinMatrix a = Thin(weights.a, a_scratch);
  const ThinMatrix down = ThinTransposed(weights.a, down_scratch);
  const ThinMatrix b = Thin(weights.b, b_scratch);
  ForEachTile(stream, x.rows, [&](int64_t first, int64_t count) {
    const TensorView du_tile = du.Rows(first, count);
    ScaledDown(x.Rows(first, count), down, weights.scale, u.Rows(first, count));
    ScaledDown(dy.Rows(first, count), b, weights.scale, du_tile);
    if (dx.data != nullptr) ThinProduct(du_tile, a, dx.Rows(first, count), Accumulate::kYes);
  });
  AccumulateOuterProducts(dy, u, db, stream);
  AccumulateOuterProducts(du, x, da, stream);
}

}  // namespace

void LoraForward(ConstTensorView x, absl::Span<const LoraSegment> segments, TensorView y,
                 RowPhase phase, Stream& stream) {
  CheckFloat("LoraForward", x.dtype);
  CheckShape("LoraForward y", y, x.rows, y.width, DType::kF32);
  for (const LoraSegment& segment : segments) {
    CheckSegment("LoraForward segment", segment, x.rows, x.width, y.width);
    if (segment.weights.a.data == nullptr || segment.rows == 0) continue;
    const ConstTensorView x_rows = x.Rows(segment.first_row, segment.rows);
    const TensorView y_rows = y.Rows(segment.first_row, segment.rows);
    if (phase == RowPhase::kDecode) {
      DecodeSegment(x_rows, segment.weights, y_rows, stream);
    } else {
      PrefillSegment(x_rows, segment.weights, y_rows, stream);
    }
  }
}

void LoraBackward(ConstTensorView x, ConstTensorView dy, absl::Span<const LoraSegment> segments,
                  TensorView dx, TensorView da, TensorView db, Stream& stream) {
  CheckFloat("LoraBackward", x.dtype);
  CheckShape("LoraBackward dy", dy, x.rows, dy.width, DType::kF32);
  if (dx.data != nullptr) CheckShape("LoraBackward dx", dx, x.rows, x.width, DType::kF32);
  for (const LoraSegment& segment : segments) {
    CheckSegment("LoraBackward segment", segment, x.rows, x.width, dy.width);
    if (segment.weights.a.data == nullptr || segment.rows == 0) continue;
    const TensorView segment_dx =
        dx.data == nullptr ? dx : dx.Rows(segment.first_row, segment.rows);
    BackwardSegment(x.Rows(segment.first_row, segment.rows),
                    dy.Rows(segment.first_row, segment.rows), segment.weights, segment_dx, da, db,
                    stream);
  }
}

}  // namespace alchemist
