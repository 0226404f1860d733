// Loops over floats that the compiler turns into vector code, and the exponential for them.
//
// Files with such loops are compiled with VECTOR_COPTS (kernels/BUILD). Products and sums keep
// their own roundings there (no contraction to fused multiply-adds), so that an element has the
// same bits in a vector, in a loop's tail and in every clone of ALCHEMIST_VECTOR_CLONES.
#ifndef ALCHEMIST_KERNELS_VECTOR_MATH_H_
#define ALCHEMIST_KERNELS_VECTOR_MATH_H_

#include <bit>
#include <cstdint>

// Compiles a function once per instruction set; the loader picks. ThreadSanitizer instruments the
// picking, which runs before its runtime is up, so that there one version has to do.
#if defined(__SANITIZE_THREAD__)
#define ALCHEMIST_VECTOR_CLONES
#else
#define ALCHEMIST_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif

namespace alchemist {

// e^x without a branch, to a unit in the last place (vector_math_test measures 0.96): zero for
// -inf, infinity where it overflows, gradual underflow, NaN for NaN. The method is that of Cephes
// (Moshier 1992): x = n log 2 + r, |r| <= log(2) / 2, and a polynomial for e^r.
__attribute__((always_inline)) inline float Exp(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLog2High = 0.693359375f;  // 9 bits: its product with n is exact.
  constexpr float kLog2Low = -2.12194440e-4f;
  constexpr float kRounder = 0x1.8p23f;  // Adding it rounds to an integer, in the low bits.
  x = x < -104.0f ? -104.0f : x;         // Below, e^x rounds to 0.
  x = x > 89.0f ? 89.0f : x;             // Above, it is infinite.
  const float rounded = x * kLog2E + kRounder;
  const int32_t n = std::bit_cast<int32_t>(rounded) - std::bit_cast<int32_t>(kRounder);
  const float n_float = rounded - kRounder;
  const float r = (x - n_float * kLog2High) - n_float * kLog2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two factors: each is a normal number for every n in range, -150 to 128.
  const int32_t half = n >> 1;
  const float scale = std::bit_cast<float>((half + 127) << 23);
  const float rest = std::bit_cast<float>((n - half + 127) << 23);
  return p * scale * rest;
}

// x[i] = Exp(x[i]).
void ExpInPlace(float* x, int64_t count);

// The sum of term(i) over [0, count) in a fixed order: 16 running sums, i modulo 16, then their sum
// by halves. As fast as vector code, and closer to the true sum than one running sum.
template <typename T, typename Term>
__attribute__((always_inline)) inline T SumInLanes(int64_t count, const Term& term) {
  constexpr int kLanes = 16;
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += term(i);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_VECTOR_MATH_H_
