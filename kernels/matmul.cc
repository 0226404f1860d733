#include "kernels/matmul.h"

#include "absl/strings/str_cat.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_tiles.h"
#include "kernels/onednn.h"
#include "kernels/outer_products.h"
#include "kernels/row_tiles.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

void AddBias(ConstTensorView bias, TensorView y, Stream& stream) {
  ForEachRowTile(stream, y.rows, y.width, [&](int64_t first, int64_t count) {
    const float* const from = bias.Row<float>(0);
    for (int64_t t = first; t < first + count; ++t) {
      float* const to = y.Row<float>(t);
      for (int64_t j = 0; j < y.width; ++j) to[j] += from[j];
    }
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
  DispatchDType("MatmulForward", x.dtype, [&](float) {
    if (phase == RowPhase::kDecode) {
      DecodeProduct(x, w.values, y, stream);
    } else {
      Product(x, Transposed(w.values), y, Accumulate::kNo, stream);
    }
    if (w.bias.data != nullptr) AddBias(w.bias, y, stream);
  });
}

void MatmulInputGradient(ConstTensorView dy, const WeightView& w, TensorView dx,
                         Accumulate accumulate, Stream& stream) {
  CheckShape("MatmulInputGradient dy", dy, dy.rows, w.out(), w.values.dtype);
  CheckShape("MatmulInputGradient dx", dx, dy.rows, w.in(), dy.dtype);
  DispatchDType("MatmulInputGradient", dy.dtype,
                [&](float) { Product(dy, Plain(w.values), dx, accumulate, stream); });
}

void MatmulWeightGradient(ConstTensorView dy, ConstTensorView x, TensorView dw, Stream& stream) {
  AccumulateOuterProducts(dy, x, dw, stream);
}

std::string MatmulDescription() {
  return absl::StrCat(
      "oneDNN ", OnednnVersion(),
      CurrentRowCounts() == RowCounts::kAny ? ", any row count" : ", rows padded to 16",
      "; decode ", SimdLevelName(CurrentSimdLevel()));
}

}  // namespace alchemist
