#include "kernels/short_product.h"

#include "base/logging.h"
#include "kernels/bf16.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

template <typename X, typename Weight>
ShortProductArguments<X, Weight> Arguments(ConstTensorView x, const void* w, int64_t w_stride,
                                           int64_t depth, int64_t part, TensorView y) {
  return {.x = static_cast<const X*>(x.data),
          .rows = x.rows,
          .x_stride = x.width,
          .w = static_cast<const Weight*>(w),
          .w_stride = w_stride,
          .outputs = y.width,
          .depth = depth,
          .part = part,
          .y = y.Row<float>(0)};
}

}  // namespace

bool HasShortProduct(DType x, DType w, int64_t outputs, int64_t depth) {
  const SimdLevel needed = x == DType::kBf16 ? SimdLevel::kAvx512Bf16 : SimdLevel::kAvx512;
  return CurrentSimdLevel() >= needed && (x == DType::kF32 || x == w) &&
         outputs % kShortOutputsGranule == 0 && depth % kShortDepthGranule == 0;
}

void ShortProduct(ConstTensorView x, const void* w, int64_t w_stride, DType w_type, int64_t depth,
                  int64_t part, TensorView y) {
  CHECK(HasShortProduct(x.dtype, w_type, y.width, depth)) << depth << " x " << y.width;
  CHECK(x.rows <= kShortRowsMax && part > 0 && part % kShortDepthGranule == 0)
      << x.rows << " rows, parts of " << part;
  if (x.dtype == DType::kBf16) {
    return avx512_bf16::ShortProduct(Arguments<uint16_t, uint16_t>(x, w, w_stride, depth, part, y));
  }
  if (w_type == DType::kBf16) {
    return avx512::ShortProduct(Arguments<float, uint16_t>(x, w, w_stride, depth, part, y));
  }
  avx512::ShortProduct(Arguments<float, float>(x, w, w_stride, depth, part, y));
}

}  // namespace alchemist
