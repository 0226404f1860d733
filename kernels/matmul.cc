#include "kernels/matmul.h"

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_tiles.h"
#include "kernels/onednn.h"
#include "kernels/outer_products.h"
#include "kernels/simd_level.h"

namespace alchemist {

void MatmulForward(ConstTensorView x, const WeightView& w, TensorView y, RowPhase phase,
                   Stream& stream) {
  CheckShape("MatmulForward x", x, x.rows, w.in(), w.values.dtype);
  CheckShape("MatmulForward y", y, x.rows, w.out(), DType::kF32);
  CheckFloat("MatmulForward", x.dtype);
  CHECK(w.bias.data == nullptr) << "LinearForward adds biases";
  if (phase == RowPhase::kDecode) {
    DecodeProducts(
        x, {{w.values}}, [&](const ProductTile& tile) { MoveTile(tile, y, /*add=*/false); },
        stream);
  } else {
    Product(x, Transposed(w.values), y, Accumulate::kNo, stream);
  }
}

void MatmulInputGradient(ConstTensorView dy, const WeightView& w, TensorView dx,
                         Accumulate accumulate, Stream& stream) {
  CheckShape("MatmulInputGradient dy", dy, dy.rows, w.out(), DType::kF32);
  CheckShape("MatmulInputGradient dx", dx, dy.rows, w.in(), DType::kF32);
  CheckFloat("MatmulInputGradient", w.values.dtype);
  Product(dy, Plain(w.values), dx, accumulate, stream);
}

void MatmulWeightGradient(ConstTensorView dy, ConstTensorView x, TensorView dw, Stream& stream) {
  AccumulateOuterProducts(dy, x, dw, stream);
}

std::string MatmulDescription() {
  const int64_t bf16_rows = TileRows(DType::kBf16);
  return absl::StrCat(
      "oneDNN ", OnednnVersion(), ", tiles of ", TileRows(DType::kF32), " rows, bf16 ",
      bf16_rows == 0 ? std::string("widened") : absl::StrCat("as it is in tiles of ", bf16_rows),
      ", own loops for ", CurrentShortParts().size(), " short products; decode ",
      SimdLevelName(CurrentSimdLevel()));
}

}  // namespace alchemist
