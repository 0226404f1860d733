#include "kernels/matmul_decode_simd.h"

#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

// How far ahead of what is multiplied the weights are asked for, in bytes: what memory delivers
// while one line is waited for (measured on Zen 5, where it makes one row 1.2 times as fast; on
// Zen 3 anything made it 1.4).
constexpr int64_t kBytesAhead = 8192;
constexpr int64_t kBytesPerLine = 64;

// sums += kRows rows of x with kOutputs rows of w, for the vectors from `k` on.
template <int64_t kRows, int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void AddVector(const float* x, const Weight* w, int64_t depth, int64_t k,
                                Vec (&sums)[kRows][kOutputs]) {
  Vec inputs[kRows];
  for (int64_t t = 0; t < kRows; ++t) inputs[t] = Load(x + t * depth + k);
  for (int64_t n = 0; n < kOutputs; ++n) {
    const Vec weights = Load(w + n * depth + k);
    for (int64_t t = 0; t < kRows; ++t) sums[t][n] = MulAdd(inputs[t], weights, sums[t][n]);
  }
}

// kRows rows of x and u with kOutputs rows of W and B. Every element has one vector of sums, over
// the depth and then the rank, and its own tails, so that its bits do not depend on kRows and
// kOutputs.
template <int64_t kRows, int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void DecodeBlock(const DecodeArguments<Weight>& a, int64_t t0, int64_t n0) {
  constexpr int64_t kPerLine = kBytesPerLine / sizeof(Weight);
  const float* const x = a.x + t0 * a.depth;
  const Weight* const w = a.w + n0 * a.depth;
  const float* const u = a.u + t0 * a.rank;
  const float* const b = a.b + n0 * a.rank;
  Vec sums[kRows][kOutputs] = {};
  int64_t k = 0;
  const Weight* ahead = w + kBytesAhead / sizeof(Weight);
  for (; k + kPerLine <= a.depth; k += kPerLine) {
    for (int64_t n = 0; n < kOutputs; ++n, ahead += kPerLine) __builtin_prefetch(ahead);
    for (int64_t i = k; i < k + kPerLine; i += kLanes) AddVector(x, w, a.depth, i, sums);
  }
  for (; k + kLanes <= a.depth; k += kLanes) AddVector(x, w, a.depth, k, sums);
  int64_t r = 0;
  for (; r + kLanes <= a.rank; r += kLanes) AddVector(u, b, a.rank, r, sums);
  for (int64_t t = 0; t < kRows; ++t) {
    for (int64_t n = 0; n < kOutputs; ++n) {
      float sum = ReduceAdd(sums[t][n]);
      for (int64_t i = k; i < a.depth; ++i) {
        sum += x[t * a.depth + i] * LoadOne(w + n * a.depth + i);
      }
      for (int64_t i = r; i < a.rank; ++i) sum += u[t * a.rank + i] * b[n * a.rank + i];
      a.y[(t0 + t) * a.y_stride + n0 + n] = sum;
    }
  }
}

// All rows of x with kOutputs rows of W, which stay in the first-level cache. Three rows, four
// outputs and what feeds them fill the 16 registers of AVX2.
template <int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void DecodeOutputs(const DecodeArguments<Weight>& a, int64_t n) {
  int64_t t = 0;
  for (; t + 3 <= a.rows; t += 3) DecodeBlock<3, kOutputs>(a, t, n);
  if (t + 2 == a.rows) {
    DecodeBlock<2, kOutputs>(a, t, n);
  } else if (t + 1 == a.rows) {
    DecodeBlock<1, kOutputs>(a, t, n);
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
