// Element types of weight files against f32. Pure functions; any thread.
#ifndef ALCHEMIST_MODEL_WEIGHT_CONVERSION_H_
#define ALCHEMIST_MODEL_WEIGHT_CONVERSION_H_

#include <cstddef>
#include <cstdint>

#include "kernels/tensor_view.h"

namespace alchemist {

// Exact: every f16 value, subnormals and infinities too, is an f32 value. (bf16: kernels/bf16.h.)
float F16ToF32(uint16_t bits);

// Rounded to nearest, ties to even. Values beyond the type's range become infinite.
uint16_t F32ToF16(float value);

// `count` elements of `dtype` at `from`, at any alignment.
void ConvertToF32(DType dtype, const std::byte* from, int64_t count, float* to);
void ConvertFromF32(DType dtype, const float* from, int64_t count, std::byte* to);
// The same from any type to any type; a copy where they are equal.
void Convert(DType from_dtype, const std::byte* from, int64_t count, DType to_dtype, std::byte* to);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_WEIGHT_CONVERSION_H_
