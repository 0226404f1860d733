#include "kernels/matmul_decode_simd.h"

#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

// kRows rows of x with kOutputs rows of W. Every element has one vector of sums over the depth and
// its own tail, so that its bits do not depend on kRows and kOutputs. The rows of W that come next
// are prefetched: measured on Zen 3, that makes one row of x 1.4 times as fast and three rows
// twice, since the arithmetic then hides the reading.
template <int64_t kRows, int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void DecodeBlock(const float* x, const Weight* w, int64_t depth, float* y,
                                  int64_t y_stride) {
  Vec sums[kRows][kOutputs] = {};
  int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
    Vec inputs[kRows];
    for (int64_t t = 0; t < kRows; ++t) inputs[t] = Load(x + t * depth + k);
    for (int64_t n = 0; n < kOutputs; ++n) {
      const Vec weights = Load(w + n * depth + k);
      __builtin_prefetch(w + (n + kOutputs) * depth + k);
      for (int64_t t = 0; t < kRows; ++t) sums[t][n] = MulAdd(inputs[t], weights, sums[t][n]);
    }
  }
  for (int64_t t = 0; t < kRows; ++t) {
    for (int64_t n = 0; n < kOutputs; ++n) {
      float sum = ReduceAdd(sums[t][n]);
      for (int64_t tail = k; tail < depth; ++tail) {
        sum += x[t * depth + tail] * LoadOne(w + n * depth + tail);
      }
      y[t * y_stride + n] = sum;
    }
  }
}

// All rows of x with kOutputs rows of W, which stay in the first-level cache. Three rows, four
// outputs and what feeds them fill the 16 registers of AVX2.
template <int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void DecodeOutputs(const DecodeArguments<Weight>& a, int64_t n) {
  const Weight* const w = a.w + n * a.depth;
  int64_t t = 0;
  for (; t + 3 <= a.rows; t += 3) {
    DecodeBlock<3, kOutputs>(a.x + t * a.depth, w, a.depth, a.y + t * a.y_stride + n, a.y_stride);
  }
  if (t + 2 == a.rows) {
    DecodeBlock<2, kOutputs>(a.x + t * a.depth, w, a.depth, a.y + t * a.y_stride + n, a.y_stride);
  } else if (t + 1 == a.rows) {
    DecodeBlock<1, kOutputs>(a.x + t * a.depth, w, a.depth, a.y + t * a.y_stride + n, a.y_stride);
  }
}

template <typename Weight>
ALCHEMIST_INLINE void DecodeRows(const DecodeArguments<Weight>& a) {
  int64_t n = 0;
  for (; n + kDecodeOutputs <= a.outputs; n += kDecodeOutputs) DecodeOutputs<kDecodeOutputs>(a, n);
  for (; n < a.outputs; ++n) DecodeOutputs<1>(a, n);
}

}  // namespace

void DecodeRowsF32(const DecodeArguments<float>& a) { DecodeRows(a); }
void DecodeRowsBf16(const DecodeArguments<uint16_t>& a) { DecodeRows(a); }

}  // namespace alchemist::ALCHEMIST_SIMD
