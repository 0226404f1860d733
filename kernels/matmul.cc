#include "kernels/matmul.h"

#include "absl/strings/str_cat.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_tiles.h"
#include "kernels/onednn.h"
#include "kernels/outer_products.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

void AddBias(ConstTensorView bias, int64_t first_column, int64_t columns, TensorView y) {
  const float* const from = bias.Row<float>(0) + first_column;
  for (int64_t t = 0; t < y.rows; ++t) {
    float* const to = y.Row<float>(t) + first_column;
    for (int64_t j = 0; j < columns; ++j) to[j] += from[j];
  }
}

void ForwardF32(ConstTensorView x, const WeightView& w, TensorView y, RowPhase phase,
                Stream& stream) {
  if (phase == RowPhase::kDecode) {
    DecodeProduct(x, w.values, y, stream);
    if (w.bias.data != nullptr) AddBias(w.bias, 0, y.width, y);
    return;
  }
  const RightMatrix b = Transposed(w.values);
  ForEachProductTile(stream, x.rows, b,
                     [&](int64_t first_row, int64_t rows, int64_t first_column, int64_t columns) {
                       const TensorView y_rows = y.Rows(first_row, rows);
                       ProductTile(x.Rows(first_row, rows), b, first_column, columns, y_rows,
                                   Accumulate::kNo);
                       if (w.bias.data != nullptr) AddBias(w.bias, first_column, columns, y_rows);
                     });
}

}  // namespace

void MatmulForward(ConstTensorView x, const WeightView& w, TensorView y, RowPhase phase,
                   Stream& stream) {
  CheckShape("MatmulForward x", x, x.rows, w.in(), w.values.dtype);
  CheckShape("MatmulForward y", y, x.rows, w.out(), x.dtype);
  if (w.bias.data != nullptr) {
    CheckShape("MatmulForward bias", w.bias, 1, w.out(), x.dtype);
  }
  DispatchDType("MatmulForward", x.dtype, [&](float) { ForwardF32(x, w, y, phase, stream); });
}

void MatmulInputGradient(ConstTensorView dy, const WeightView& w, TensorView dx,
                         Accumulate accumulate, Stream& stream) {
  CheckShape("MatmulInputGradient dy", dy, dy.rows, w.out(), w.values.dtype);
  CheckShape("MatmulInputGradient dx", dx, dy.rows, w.in(), dy.dtype);
  DispatchDType("MatmulInputGradient", dy.dtype, [&](float) {
    const RightMatrix b = Plain(w.values);
    ForEachProductTile(stream, dy.rows, b,
                       [&](int64_t first_row, int64_t rows, int64_t first_column, int64_t columns) {
                         ProductTile(dy.Rows(first_row, rows), b, first_column, columns,
                                     dx.Rows(first_row, rows), accumulate);
                       });
  });
}

void MatmulWeightGradient(ConstTensorView dy, ConstTensorView x, TensorView dw, Stream& stream) {
  AccumulateOuterProducts(dy, x, 1, dw, stream);
}

std::string MatmulDescription() {
  return absl::StrCat(
      "oneDNN ", OnednnVersion(),
      CurrentRowCounts() == RowCounts::kAny ? ", any row count" : ", rows padded to 16",
      "; decode ", SimdLevelName(CurrentSimdLevel()));
}

}  // namespace alchemist
