#include "kernels/bf16.h"

#include "base/logging.h"
#include "kernels/vector_math.h"

namespace alchemist {

ALCHEMIST_VECTOR_CLONES
void Widen(const Bf16* __restrict x, int64_t count, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = ToF32(x[i]);
}

ALCHEMIST_VECTOR_CLONES
void WidenRows(const Bf16* __restrict x, int64_t stride, int64_t rows, int64_t width,
               float* __restrict y) {
  for (int64_t row = 0; row < rows; ++row, x += stride, y += width) {
    for (int64_t i = 0; i < width; ++i) y[i] = ToF32(x[i]);
  }
}

ALCHEMIST_VECTOR_CLONES
void Round(const float* __restrict x, int64_t count, Bf16* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = ToBf16(x[i]);
}

const float* AsF32(ConstTensorView x, Scratch<float>& scratch) {
  if (x.dtype == DType::kF32) return static_cast<const float*>(x.data);
  CHECK(x.dtype == DType::kBf16) << DTypeName(x.dtype);
  const int64_t count = x.rows * x.width;
  return AsF32(static_cast<const Bf16*>(x.data), count, scratch.Get(count));
}

}  // namespace alchemist
