#include "model/weight_conversion.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/logging.h"
#include "kernels/bf16.h"

namespace alchemist {
namespace {

template <float (*kToF32)(uint16_t)>
void WidenEach(const std::byte* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + i * sizeof(bits), sizeof(bits));
    to[i] = kToF32(bits);
  }
}

template <uint16_t (*kFromF32)(float)>
void NarrowEach(const float* from, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = kFromF32(from[i]);
    std::memcpy(to + i * sizeof(bits), &bits, sizeof(bits));
  }
}

float FromBf16(uint16_t bits) { return ToF32(Bf16{bits}); }
uint16_t IntoBf16(float value) { return ToBf16(value).bits; }

// Elements that go through f32 at a time.
constexpr int64_t kPiece = 1024;

}  // namespace

float F16ToF32(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t exponent = bits >> 10 & 0x1f;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 0) {  // Zero or subnormal: a multiple of 2^-24.
    return std::copysign(static_cast<float>(fraction) * 0x1p-24f, std::bit_cast<float>(sign));
  }
  const uint32_t wide_exponent = exponent == 0x1f ? 0xff : exponent - 15 + 127;
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

uint16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const float size = std::fabs(value);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  if (size >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);  // Rounds to 2^16.
  if (size < 0x1p-14f) {  // A multiple of 2^-24; 1024 of them are the least normal number.
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(size * 0x1p24f)));
  }
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - ((127 - 15) << 10)));
}

void ConvertToF32(DType dtype, const std::byte* from, int64_t count, float* to) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, from, count * sizeof(float));
      return;
    case DType::kBf16:
      return WidenEach<FromBf16>(from, count, to);
    case DType::kF16:
      return WidenEach<F16ToF32>(from, count, to);
  }
  LOG(FATAL) << "dtype " << static_cast<int>(dtype);
}

void ConvertFromF32(DType dtype, const float* from, int64_t count, std::byte* to) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, from, count * sizeof(float));
      return;
    case DType::kBf16:
      return NarrowEach<IntoBf16>(from, count, to);
    case DType::kF16:
      return NarrowEach<F32ToF16>(from, count, to);
  }
  LOG(FATAL) << "dtype " << static_cast<int>(dtype);
}

void Convert(DType from_dtype, const std::byte* from, int64_t count, DType to_dtype,
             std::byte* to) {
  const int64_t from_bytes = BytesPerElement(from_dtype), to_bytes = BytesPerElement(to_dtype);
  if (from_dtype == to_dtype) {
    std::memcpy(to, from, count * to_bytes);
    return;
  }
  float wide[kPiece];
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t piece = std::min(kPiece, count - first);
    ConvertToF32(from_dtype, from + first * from_bytes, piece, wide);
    ConvertFromF32(to_dtype, wide, piece, to + first * to_bytes);
  }
}

}  // namespace alchemist
