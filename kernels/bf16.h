// Bf16: the upper half of an f32, the storage type of weights and activations. Kernels widen what
// they read, or multiply it as it is where the CPU can; they sum in f32, and round once where a
// tensor is stored. Pure functions and plain values; any thread.
#ifndef ALCHEMIST_KERNELS_BF16_H_
#define ALCHEMIST_KERNELS_BF16_H_

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/scratch.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct Bf16 {
  uint16_t bits;
};
template <>
struct DTypeOf<Bf16> {
  static constexpr DType kValue = DType::kBf16;
};

// Exact: every bf16 value, subnormals and infinities too, is an f32 value.
inline float ToF32(Bf16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

inline float ToF32(float x) { return x; }

// Rounded to nearest, ties to even; beyond the range infinite. NaN stays NaN, now a quiet one.
inline Bf16 ToBf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  const uint32_t quiet = bits | 0x400000;
  return {static_cast<uint16_t>((x != x ? quiet : rounded) >> 16)};
}

// y = x, widened.
void Widen(const Bf16* x, int64_t count, float* y);
// The same of `rows` rows that lie `stride` apart; y is dense.
void WidenRows(const Bf16* x, int64_t stride, int64_t rows, int64_t width, float* y);
// y = x, each element rounded.
void Round(const float* x, int64_t count, Bf16* y);

// What kernels that are templated on the storage type T do to a row: computing goes on in f32.
// A row's elements as f32: the row itself, or widened into `scratch`, room for `count`.
inline const float* AsF32(const float* x, int64_t, float*) { return x; }
inline const float* AsF32(const Bf16* x, int64_t count, float* scratch) {
  Widen(x, count, scratch);
  return scratch;
}
// A copy in any case.
inline void CopyAsF32(const float* x, int64_t count, float* y) { std::copy_n(x, count, y); }
inline void CopyAsF32(const Bf16* x, int64_t count, float* y) { Widen(x, count, y); }
// The same of rows that lie `stride` apart; y is dense.
inline void CopyRowsAsF32(const float* x, int64_t stride, int64_t rows, int64_t width, float* y) {
  for (int64_t row = 0; row < rows; ++row) std::copy_n(x + row * stride, width, y + row * width);
}
inline void CopyRowsAsF32(const Bf16* x, int64_t stride, int64_t rows, int64_t width, float* y) {
  WidenRows(x, stride, rows, width, y);
}
// All rows of x as one f32 matrix: x itself, or widened into `scratch`.
const float* AsF32(ConstTensorView x, Scratch<float>& scratch);
// Where the f32 sums of the row `y` are made: the row itself, or `scratch`; and the end of it.
inline float* SumsOf(float* y, float*) { return y; }
inline float* SumsOf(Bf16*, float* scratch) { return scratch; }
inline void StoreSums(const float*, int64_t, float*) {}
inline void StoreSums(const float* sums, int64_t count, Bf16* y) { Round(sums, count, y); }

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_BF16_H_
