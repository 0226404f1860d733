// The inner loops of matmul_decode.cc.
#ifndef ALCHEMIST_KERNELS_MATMUL_DECODE_SIMD_H_
#define ALCHEMIST_KERNELS_MATMUL_DECODE_SIMD_H_

#include <cstdint>

#include "kernels/simd_level.h"

namespace alchemist {

// Rows of W that are read side by side.
inline constexpr int64_t kDecodeOutputs = 4;

// How far ahead of what is multiplied the weights are asked for, in bytes: what memory delivers
// while one line is waited for (measured on Zen 5, where it makes one row 1.2 times as fast; on
// Zen 3 anything made it 1.4).
inline constexpr int64_t kDecodeBytesAhead = 8192;

// What an adapter adds to one row.
struct DecodeRowAdapter {
  const float* u = nullptr;  // [rank]
  const float* b = nullptr;  // [outputs, rank]
  int64_t rank = 0;          // 0: none
};

// A row of y = x w^T + u b^T. X, Weight: float, or uint16_t, the bits of a bf16.
template <typename X, typename Weight>
struct DecodeArguments {
  const X* x;  // [rows, depth]
  int64_t rows;
  const DecodeRowAdapter* adapters;  // [rows]
  const Weight* w;                   // [outputs, depth]
  int64_t outputs;
  int64_t depth;
  int64_t first_output;  // Of the adapters' b, where w begins.
  float* y;              // [rows, outputs], rows y_stride apart
  int64_t y_stride;
};

ALCHEMIST_DECLARE_SIMD(void DecodeRowsF32(const DecodeArguments<float, float>& a))
ALCHEMIST_DECLARE_SIMD(void DecodeRowsBf16(const DecodeArguments<float, uint16_t>& a))

namespace avx512_bf16 {
// Both operands as they are, two products at a time. An element's sum has another order than that
// of the versions above.
void DecodeRowsBf16(const DecodeArguments<uint16_t, uint16_t>& a);
}  // namespace avx512_bf16

// What divides the outputs and the depth of weights that are multiplied by tiles, and the rows that
// go together.
inline constexpr int64_t kDecodeTileOutputs = 16;
inline constexpr int64_t kDecodeTileDepth = 32;
inline constexpr int64_t kDecodeTileRows = 16;

namespace amx_bf16 {
// pairs [rows / 16 rounded up, depth / 2, 16, 2] = x [rows, depth]: two neighbours of each row.
void PairDecodeRows(const uint16_t* x, int64_t rows, int64_t depth, uint16_t* pairs);
// The same products by tiles, in yet another order. `x` is such pairs.
void DecodeRowsBf16(const DecodeArguments<uint16_t, uint16_t>& a);
}  // namespace amx_bf16

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_DECODE_SIMD_H_
