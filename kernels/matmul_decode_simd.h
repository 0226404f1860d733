// The inner loops of matmul_decode.cc.
#ifndef ALCHEMIST_KERNELS_MATMUL_DECODE_SIMD_H_
#define ALCHEMIST_KERNELS_MATMUL_DECODE_SIMD_H_

#include <cstdint>

#include "kernels/simd_level.h"

namespace alchemist {

// Rows of W that are read side by side. Calls whose `outputs` is a multiple of it are the fastest.
inline constexpr int64_t kDecodeOutputs = 4;

// y = x w^T + u b^T. Weight: float, or uint16_t, the bits of a bf16.
template <typename Weight>
struct DecodeArguments {
  const float* x;  // [rows, depth]
  int64_t rows;
  const Weight* w;  // [outputs, depth]
  int64_t outputs;
  int64_t depth;
  const float* u;  // [rows, rank]
  const float* b;  // [outputs, rank]
  int64_t rank;    // 0: no adapter
  float* y;        // [rows, outputs], rows y_stride apart
  int64_t y_stride;
};

ALCHEMIST_DECLARE_SIMD(void DecodeRowsF32(const DecodeArguments<float>& a))
ALCHEMIST_DECLARE_SIMD(void DecodeRowsBf16(const DecodeArguments<uint16_t>& a))

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_DECODE_SIMD_H_
