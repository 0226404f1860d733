#include "kernels/lora.h"

#include "base/logging.h"
#include "kernels/accumulate.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_tiles.h"
#include "kernels/outer_products.h"
#include "kernels/row_tiles.h"
#include "kernels/scratch.h"

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

void Scale(float scale, TensorView x) {
  for (int64_t t = 0; t < x.rows; ++t) {
    float* const row = x.Row<float>(t);
    for (int64_t j = 0; j < x.width; ++j) row[j] *= scale;
  }
}

// scale * x A^T. The scale is applied here and to dy B, where rows are `rank` wide.
void ScaledDown(ConstTensorView x, const LoraView& weights, RowPhase phase, TensorView u,
                Stream& stream) {
  if (phase == RowPhase::kDecode) {
    DecodeProduct(x, weights.a, u, stream);
  } else {
    Product(x, Transposed(weights.a), u, Accumulate::kNo, stream);
  }
  Scale(weights.scale, u);
}

// y += u B^T.
void AddUp(ConstTensorView u, const LoraView& weights, RowPhase phase, TensorView y,
           Stream& stream) {
  if (phase == RowPhase::kPrefill) {
    Product(u, Transposed(weights.b), y, Accumulate::kYes, stream);
    return;
  }
  thread_local Scratch<float> scratch;
  const TensorView product = {scratch.Get(y.rows * y.width), y.rows, y.width, y.dtype};
  DecodeProduct(u, weights.b, product, stream);
  ForEachRowTile(stream, y.rows, y.width, [&](int64_t first, int64_t count) {
    const float* const from = product.Row<float>(first);
    float* const to = y.Row<float>(first);
    for (int64_t j = 0; j < count * y.width; ++j) to[j] += from[j];
  });
}

void ForwardSegment(ConstTensorView x, const LoraView& weights, TensorView y, RowPhase phase,
                    Stream& stream) {
  thread_local Scratch<float> scratch;
  const int64_t rank = weights.a.rows;
  const TensorView u = {scratch.Get(x.rows * rank), x.rows, rank, DType::kF32};
  ScaledDown(x, weights, phase, u, stream);
  AddUp(u, weights, phase, y, stream);
}

void BackwardSegment(ConstTensorView x, ConstTensorView dy, const LoraView& weights, TensorView dx,
                     TensorView da, TensorView db, Stream& stream) {
  thread_local Scratch<float> scratch;
  const int64_t rank = weights.a.rows;
  float* const memory = scratch.Get(2 * x.rows * rank);
  const TensorView u = {memory, x.rows, rank, DType::kF32};
  const TensorView du = {memory + x.rows * rank, x.rows, rank, DType::kF32};
  ScaledDown(x, weights, RowPhase::kPrefill, u, stream);
  AccumulateOuterProducts(dy, u, db, stream);
  Product(dy, Plain(weights.b), du, Accumulate::kNo, stream);
  Scale(weights.scale, du);
  AccumulateOuterProducts(du, x, da, stream);
  if (dx.data != nullptr) Product(du, Plain(weights.a), dx, Accumulate::kYes, stream);
}

}  // namespace

void LoraForward(ConstTensorView x, absl::Span<const LoraSegment> segments, TensorView y,
                 RowPhase phase, Stream& stream) {
  CheckFloat("LoraForward", x.dtype);
  CheckShape("LoraForward y", y, x.rows, y.width, DType::kF32);
  for (const LoraSegment& segment : segments) {
    CheckSegment("LoraForward segment", segment, x.rows, x.width, y.width);
    if (segment.weights.a.data == nullptr || segment.rows == 0) continue;
    ForwardSegment(x.Rows(segment.first_row, segment.rows), segment.weights,
                   y.Rows(segment.first_row, segment.rows), phase, stream);
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
