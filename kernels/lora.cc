#include "kernels/lora.h"

#include "base/logging.h"
#include "kernels/accumulate.h"
#include "kernels/dispatch.h"
#include "kernels/lora_down.h"
#include "kernels/outer_products.h"
#include "kernels/scratch.h"
#include "kernels/thin_product.h"

namespace alchemist {
namespace {

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
  ForEachLoraTile(stream, x.rows, [&](int64_t first, int64_t count) {
    const TensorView du_tile = du.Rows(first, count);
    LoraDown(x.Rows(first, count), down, weights.scale, u.Rows(first, count));
    LoraDown(dy.Rows(first, count), b, weights.scale, du_tile);
    if (dx.data != nullptr) ThinProduct(du_tile, a, dx.Rows(first, count), Accumulate::kYes);
  });
  AccumulateOuterProducts(dy, u, db, stream);
  AccumulateOuterProducts(du, x, da, stream);
}

}  // namespace

void CheckLoraSegments(const char* what, absl::Span<const LoraSegment> segments, int64_t rows,
                       int64_t in, int64_t out) {
  int64_t next = 0;
  for (const LoraSegment& segment : segments) {
    CHECK(segment.first_row >= next && segment.rows >= 0 &&
          segment.first_row + segment.rows <= rows)
        << what << ": rows " << segment.first_row << " + " << segment.rows << " of " << rows;
    next = segment.first_row + segment.rows;
    if (segment.weights.a.data == nullptr) continue;
    CheckShape(what, segment.weights.a, segment.weights.a.rows, in, DType::kF32);
    CheckShape(what, segment.weights.b, out, segment.weights.a.rows, DType::kF32);
  }
}

void LoraBackward(ConstTensorView x, ConstTensorView dy, absl::Span<const LoraSegment> segments,
                  TensorView dx, TensorView da, TensorView db, Stream& stream) {
  CheckFloat("LoraBackward", x.dtype);
  CheckShape("LoraBackward dy", dy, x.rows, dy.width, DType::kF32);
  if (dx.data != nullptr) CheckShape("LoraBackward dx", dx, x.rows, x.width, DType::kF32);
  CheckLoraSegments("LoraBackward", segments, x.rows, x.width, dy.width);
  for (const LoraSegment& segment : segments) {
    if (segment.weights.a.data == nullptr || segment.rows == 0) continue;
    const TensorView segment_dx =
        dx.data == nullptr ? dx : dx.Rows(segment.first_row, segment.rows);
    BackwardSegment(x.Rows(segment.first_row, segment.rows),
                    dy.Rows(segment.first_row, segment.rows), segment.weights, segment_dx, da, db,
                    stream);
  }
}

}  // namespace alchemist
