#include "kernels/short_product.h"

#include "base/logging.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

template <typename X, typename Weight>
ShortProductArguments<X, Weight> Arguments(const ShortOperands& operands, int64_t part,
                                           TensorView y) {
  return {.x = static_cast<const X*>(operands.x),
          .rows = y.rows,
          .x_stride = operands.x_stride,
          .w = static_cast<const Weight*>(operands.w),
          .w_stride = operands.w_stride,
          .outputs = y.width,
          .depth = operands.depth,
          .part = part,
          .y = y.Row<float>(0)};
}

}  // namespace

bool HasShortProduct(const ShortOperands& operands, int64_t outputs) {
  const auto& [x, x_type, x_stride, w, w_type, w_stride, depth] = operands;
  const bool pairs = x_type == DType::kBf16;
  const SimdLevel needed = pairs ? SimdLevel::kAvx512Bf16 : SimdLevel::kAvx512;
  if (CurrentSimdLevel() < needed) return false;
  if (pairs ? w_type != DType::kBf16 || x_stride % 2 != 0
            : x_type != DType::kF32 || (w_type != DType::kF32 && w_type != DType::kBf16)) {
    return false;
  }
  return outputs % kShortOutputsGranule == 0 && depth % kShortDepthGranule == 0 &&
         x_stride >= depth && w_stride >= depth;
}

void ShortProduct(const ShortOperands& operands, int64_t part, TensorView y) {
  CHECK(HasShortProduct(operands, y.width)) << operands.depth << " x " << y.width;
  CHECK(y.rows <= kShortRowsMax && part > 0 && part % kShortDepthGranule == 0)
      << y.rows << " rows, parts of " << part;
  if (y.rows == 0) return;
  if (operands.x_type == DType::kBf16) {
    return avx512_bf16::ShortProduct(Arguments<uint16_t, uint16_t>(operands, part, y));
  }
  if (operands.w_type == DType::kBf16) {
    return avx512::ShortProduct(Arguments<float, uint16_t>(operands, part, y));
  }
  avx512::ShortProduct(Arguments<float, float>(operands, part, y));
}

}  // namespace alchemist
