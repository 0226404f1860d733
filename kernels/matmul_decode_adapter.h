// What an adapter adds to the outputs of a decode row, for kernels with AVX-512 (simd.h).
#ifndef ALCHEMIST_KERNELS_MATMUL_DECODE_ADAPTER_H_
#define ALCHEMIST_KERNELS_MATMUL_DECODE_ADAPTER_H_

#include <cstdint>

#include "kernels/matmul_decode_simd.h"
#include "kernels/simd.h"

namespace alchemist::avx512 {

typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));

// The sums over the lanes of four vectors, each in ReduceAdd's order.
ALCHEMIST_INLINE Quad ReduceAddFour(const Vec (&v)[4]) {
  Quad quads[4];
  for (int64_t n = 0; n < 4; ++n) {
    quads[n] = (QuadOf<0>(v[n]) + QuadOf<2>(v[n])) + (QuadOf<1>(v[n]) + QuadOf<3>(v[n]));
  }
  const auto pairs = [](Quad a, Quad b) {  // a0 + a2, b0 + b2, a1 + a3, b1 + b3
    return __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  };
  const Quad first = pairs(quads[0], quads[1]), last = pairs(quads[2], quads[3]);
  return __builtin_shufflevector(first, last, 0, 1, 4, 5) +
         __builtin_shufflevector(first, last, 2, 3, 6, 7);
}

// The lanes' share of u b^T, for the outputs from `output`: the rank in whole vectors.
template <int64_t kOutputs>
ALCHEMIST_INLINE void AddWholeVectors(const DecodeRowAdapter& adapter, int64_t output,
                                      Vec (&sums)[kOutputs]) {
  const float* const b = adapter.b + output * adapter.rank;
  for (int64_t r = 0; r + kLanes <= adapter.rank; r += kLanes) {
    const Vec u = Load(adapter.u + r);
    for (int64_t n = 0; n < kOutputs; ++n) {
      sums[n] = MulAdd(u, Load(b + n * adapter.rank + r), sums[n]);
    }
  }
}

// The rest of it.
template <int64_t kOutputs>
ALCHEMIST_INLINE void AddRest(const DecodeRowAdapter& adapter, int64_t output, float* y) {
  const float* const b = adapter.b + output * adapter.rank;
  for (int64_t r = adapter.rank / kLanes * kLanes; r < adapter.rank; ++r) {
    for (int64_t n = 0; n < kOutputs; ++n) {
      y[n] = MulAdd(adapter.u[r], b[n * adapter.rank + r], y[n]);
    }
  }
}

}  // namespace alchemist::avx512

#endif  // ALCHEMIST_KERNELS_MATMUL_DECODE_ADAPTER_H_
