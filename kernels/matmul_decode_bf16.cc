// The version of matmul_decode_simd.h's loops for CPUs that multiply bf16 themselves.
#include "kernels/matmul_decode_adapter.h"
#include "kernels/matmul_decode_simd.h"
#include "kernels/simd.h"

namespace alchemist::avx512_bf16 {
namespace {

using avx512::AddRest;
using avx512::AddWholeVectors;
using avx512::kLanes;
using avx512::ReduceAdd;
using avx512::ReduceAddFour;
using avx512::UnalignedQuad;
using avx512::Vec;

constexpr int64_t kPairs = 2 * kLanes;  // Elements of a vector of bf16.
constexpr int64_t kRowsAtOnce = 4;      // With four outputs 16 independent sums.

constexpr int64_t kElementsAhead = kDecodeBytesAhead / sizeof(uint16_t);

// `count` elements, at most kPairs, and zeros after them.
ALCHEMIST_INLINE __m512bh LoadPairs(const uint16_t* p, int64_t count) {
  if (count >= kPairs) return (__m512bh)_mm512_loadu_si512(p);
  return (__m512bh)_mm512_maskz_loadu_epi16((__mmask32{1} << count) - 1, p);
}

// sums += kRows rows of x with kOutputs rows of w, for `count` elements from `k`.
template <int64_t kRows, int64_t kOutputs>
ALCHEMIST_INLINE void AddPairs(const uint16_t* x, const uint16_t* w, int64_t depth, int64_t k,
                               int64_t count, Vec (&sums)[kRows][kOutputs]) {
  __m512bh weights[kOutputs];
  for (int64_t n = 0; n < kOutputs; ++n) weights[n] = LoadPairs(w + n * depth + k, count);
  for (int64_t t = 0; t < kRows; ++t) {
    const __m512bh inputs = LoadPairs(x + t * depth + k, count);
    for (int64_t n = 0; n < kOutputs; ++n) {
      sums[t][n] = _mm512_dpbf16_ps(sums[t][n], inputs, weights[n]);
    }
  }
}

// y = the sums of one row, and what its adapter adds to the outputs from `output`.
template <int64_t kOutputs>
ALCHEMIST_INLINE void Finish(Vec (&sums)[kOutputs], const DecodeRowAdapter& adapter, int64_t output,
                             float* y) {
  AddWholeVectors(adapter, output, sums);
  if constexpr (kOutputs == 4) {
    *reinterpret_cast<UnalignedQuad*>(y) = ReduceAddFour(sums);
  } else {
    for (int64_t n = 0; n < kOutputs; ++n) y[n] = ReduceAdd(sums[n]);
  }
  AddRest<kOutputs>(adapter, output, y);
}

// The part of the weights ahead that a block asks for: all blocks of the same weights share that,
// so that memory is at work in each of them.
struct Ahead {
  const uint16_t* next;
  int64_t lines;  // With every vector of kPairs, which is a line.
};

// Every element has one vector of sums, so that its bits do not depend on kRows and kOutputs.
template <int64_t kRows, int64_t kOutputs>
ALCHEMIST_INLINE void Block(const DecodeArguments<uint16_t, uint16_t>& a, int64_t t0, int64_t n0,
                            Ahead ahead) {
  const uint16_t* const x = a.x + t0 * a.depth;
  const uint16_t* const w = a.w + n0 * a.depth;
  Vec sums[kRows][kOutputs] = {};
  int64_t k = 0;
  for (; k + kPairs <= a.depth; k += kPairs) {
    for (int64_t i = 0; i < ahead.lines; ++i, ahead.next += kPairs) __builtin_prefetch(ahead.next);
    AddPairs(x, w, a.depth, k, kPairs, sums);
  }
  if (k < a.depth) AddPairs(x, w, a.depth, k, a.depth - k, sums);
  for (int64_t t = 0; t < kRows; ++t) {
    Finish(sums[t], a.adapters[t0 + t], a.first_output + n0, a.y + (t0 + t) * a.y_stride + n0);
  }
}

// All rows of x with kOutputs rows of W, which stay in the first-level cache.
template <int64_t kOutputs>
ALCHEMIST_INLINE void Outputs(const DecodeArguments<uint16_t, uint16_t>& a, int64_t n) {
  const int64_t blocks = (a.rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const int64_t lines = blocks < kOutputs ? kOutputs / blocks : 1;
  Ahead ahead = {a.w + n * a.depth + kElementsAhead, lines};
  int64_t t = 0;
  for (int64_t asked = 0; t + kRowsAtOnce <= a.rows; t += kRowsAtOnce) {
    Block<kRowsAtOnce, kOutputs>(a, t, n, ahead);
    asked += lines;
    ahead = {ahead.next + lines * a.depth, asked < kOutputs ? lines : 0};
  }
  switch (a.rows - t) {
    case 3:
      return Block<3, kOutputs>(a, t, n, ahead);
    case 2:
      return Block<2, kOutputs>(a, t, n, ahead);
    case 1:
      return Block<1, kOutputs>(a, t, n, ahead);
  }
}

}  // namespace

void DecodeRowsBf16(const DecodeArguments<uint16_t, uint16_t>& a) {
  int64_t n = 0;
  for (; n + kDecodeOutputs <= a.outputs; n += kDecodeOutputs) Outputs<kDecodeOutputs>(a, n);
  for (; n < a.outputs; ++n) Outputs<1>(a, n);
}

}  // namespace alchemist::avx512_bf16
