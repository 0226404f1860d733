#include "kernels/matmul_decode_simd.h"

#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

constexpr int64_t kBytesPerLine = 64;

// sums += kRows rows of x with kOutputs rows of w, for the vector at `k`.
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

// One element, whose vectors have been summed up to `k`: their lanes, and what is left.
template <typename Weight>
ALCHEMIST_INLINE float Finish(Vec vectors, const float* x, const Weight* w, int64_t k,
                              int64_t depth, const DecodeRowAdapter& adapter, int64_t output) {
  const float* const b = adapter.b + output * adapter.rank;
  int64_t r = 0;
  for (; r + kLanes <= adapter.rank; r += kLanes) {
    vectors = MulAdd(Load(adapter.u + r), Load(b + r), vectors);
  }
  float sum = ReduceAdd(vectors);
  for (; k < depth; ++k) sum += x[k] * LoadOne(w + k);
  for (; r < adapter.rank; ++r) sum += adapter.u[r] * b[r];
  return sum;
}

// kRows rows of x with kOutputs rows of W, and what the rows' adapters add. Every element has one
// vector of sums, over the depth and then the rank, and its own tails, so that its bits do not
// depend on kRows and kOutputs, nor on the other rows' adapters.
template <int64_t kRows, int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void DecodeBlock(const DecodeArguments<float, Weight>& a, int64_t t0, int64_t n0) {
  constexpr int64_t kPerLine = kBytesPerLine / sizeof(Weight);
  const float* const x = a.x + t0 * a.depth;
  const Weight* const w = a.w + n0 * a.depth;
  Vec sums[kRows][kOutputs] = {};
  int64_t k = 0;
  const Weight* ahead = w + kDecodeBytesAhead / sizeof(Weight);
  for (; k + kPerLine <= a.depth; k += kPerLine) {
    for (int64_t n = 0; n < kOutputs; ++n, ahead += kPerLine) __builtin_prefetch(ahead);
    for (int64_t i = k; i < k + kPerLine; i += kLanes) AddVector(x, w, a.depth, i, sums);
  }
  for (; k + kLanes <= a.depth; k += kLanes) AddVector(x, w, a.depth, k, sums);
  for (int64_t t = 0; t < kRows; ++t) {
    const DecodeRowAdapter& adapter = a.adapters[t0 + t];
    for (int64_t n = 0; n < kOutputs; ++n) {
      a.y[(t0 + t) * a.y_stride + n0 + n] = Finish(sums[t][n], x + t * a.depth, w + n * a.depth, k,
                                                   a.depth, adapter, a.first_output + n0 + n);
    }
  }
}

// All rows of x with kOutputs rows of W, which stay in the first-level cache. Three rows, four
// outputs and what feeds them fill the 16 registers of AVX2.
template <int64_t kOutputs, typename Weight>
ALCHEMIST_INLINE void DecodeOutputs(const DecodeArguments<float, Weight>& a, int64_t n) {
  int64_t t = 0;
  for (; t + 3 <= a.rows; t += 3) DecodeBlock<3, kOutputs>(a, t, n);
  if (t + 2 == a.rows) {
    DecodeBlock<2, kOutputs>(a, t, n);
  } else if (t + 1 == a.rows) {
    DecodeBlock<1, kOutputs>(a, t, n);
  }
}

template <typename Weight>
ALCHEMIST_INLINE void DecodeRows(const DecodeArguments<float, Weight>& a) {
  int64_t n = 0;
  for (; n + kDecodeOutputs <= a.outputs; n += kDecodeOutputs) DecodeOutputs<kDecodeOutputs>(a, n);
  for (; n < a.outputs; ++n) DecodeOutputs<1>(a, n);
}

}  // namespace

void DecodeRowsF32(const DecodeArguments<float, float>& a) { DecodeRows(a); }
void DecodeRowsBf16(const DecodeArguments<float, uint16_t>& a) { DecodeRows(a); }

}  // namespace alchemist::ALCHEMIST_SIMD
