// Vectors of floats for kernels that are compiled once per instruction set.
//
// A file x_simd.cc is built three times (simd_library in kernels/simd.bzl), each time into another
// namespace: portable, avx2 or avx512. simd_level.h declares and picks them. Such a file must not
// use inline functions of other headers, not even std::min: the linker keeps one copy of those for
// the whole program, and it might be one that this machine cannot run.
//
// Sums in these kernels have an order fixed by the shape alone, given kLanes; the three versions
// differ from each other in their last bits where a sum runs over lanes.
#ifndef ALCHEMIST_KERNELS_SIMD_H_
#define ALCHEMIST_KERNELS_SIMD_H_

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#define ALCHEMIST_SIMD avx512
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define ALCHEMIST_SIMD avx2
#else
#define ALCHEMIST_SIMD portable
#endif

#define ALCHEMIST_INLINE static inline __attribute__((always_inline))

namespace alchemist::ALCHEMIST_SIMD {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

// The compiler's own vector type: arithmetic operators work lane by lane.
typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef float UnalignedVec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

ALCHEMIST_INLINE Vec Load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
ALCHEMIST_INLINE void Store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
// kLanes bf16 values, given by their bits, widened; and one.
ALCHEMIST_INLINE Vec Load(const uint16_t* p) {
#if defined(__AVX512F__)
  // With a mask, though a full one: without, GCC 12 warns of its own header.
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const IntVec wide = (IntVec)_mm512_maskz_cvtepu16_epi32(0xffff, bits);
#elif defined(__AVX2__) && defined(__FMA__)
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const IntVec wide = (IntVec)_mm256_cvtepu16_epi32(bits);
#else
  IntVec wide;
  for (int64_t i = 0; i < kLanes; ++i) wide[i] = p[i];
#endif
  return (Vec)(wide << 16);
}
ALCHEMIST_INLINE float LoadOne(const float* p) { return *p; }
ALCHEMIST_INLINE float LoadOne(const uint16_t* p) {
  const uint32_t bits = static_cast<uint32_t>(*p) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
ALCHEMIST_INLINE Vec Set(float x) { return x - Vec{}; }  // Not x + 0, which turns -0 into 0.

// a * b + c with one rounding, in every version.
ALCHEMIST_INLINE Vec Fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  for (int64_t i = 0; i < kLanes; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#endif
}

// a * b + c, with one rounding where the instruction set has that and two where it has not.
ALCHEMIST_INLINE Vec MulAdd(Vec a, Vec b, Vec c) {
#if defined(__FMA__)
  return Fma(a, b, c);
#else
  return a * b + c;
#endif
}

// One lane of it.
ALCHEMIST_INLINE float MulAdd(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// b where either is NaN.
ALCHEMIST_INLINE Vec Max(Vec a, Vec b) { return a > b ? a : b; }

// Four lanes, and how the wider vectors fall into them: in registers, not by way of the stack.
typedef float Quad __attribute__((vector_size(16)));

template <int kQuad>
ALCHEMIST_INLINE Quad QuadOf(Vec v) {
  constexpr int kFirst = 4 * kQuad;
  return __builtin_shufflevector(v, v, kFirst, kFirst + 1, kFirst + 2, kFirst + 3);
}

// The sum of the lanes: halves onto halves.
ALCHEMIST_INLINE float ReduceAdd(Vec v) {
  Quad sum = QuadOf<0>(v);
  if constexpr (kLanes == 8) sum += QuadOf<1>(v);
  if constexpr (kLanes == 16) sum = (sum + QuadOf<2>(v)) + (QuadOf<1>(v) + QuadOf<3>(v));
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// The largest lane. NaNs may be passed over.
ALCHEMIST_INLINE float ReduceMax(Vec v) {
  const auto larger = [](Quad a, Quad b) { return a > b ? a : b; };
  Quad max = QuadOf<0>(v);
  if constexpr (kLanes >= 8) max = larger(max, QuadOf<1>(v));
  if constexpr (kLanes == 16) max = larger(larger(max, QuadOf<2>(v)), QuadOf<3>(v));
  const float even = max[0] > max[2] ? max[0] : max[2];
  const float odd = max[1] > max[3] ? max[1] : max[3];
  return even > odd ? even : odd;
}

// e^x for x <= 0: vector_math.h's Exp, whose comments hold here; NaN for NaN.
ALCHEMIST_INLINE Vec ExpOfNegative(Vec x) {
  const Vec rounder = Set(0x1.8p23f);
  x = Max(Set(-104.0f), x);
  const Vec rounded = MulAdd(x, Set(1.44269504f), rounder);
  const IntVec n = (IntVec)rounded - (IntVec)rounder;
  const Vec n_float = rounded - rounder;
  const Vec r = MulAdd(n_float, Set(2.12194440e-4f), MulAdd(n_float, Set(-0.693359375f), x));
  Vec p = Set(1.9875691500e-4f);
  p = MulAdd(p, r, Set(1.3981999507e-3f));
  p = MulAdd(p, r, Set(8.3334519073e-3f));
  p = MulAdd(p, r, Set(4.1665795894e-2f));
  p = MulAdd(p, r, Set(1.6666665459e-1f));
  p = MulAdd(p, r, Set(5.0000001201e-1f));
  p = MulAdd(p, r * r, r) + Set(1.0f);
  const IntVec half = n >> 1;
  return p * (Vec)((half + 127) << 23) * (Vec)((n - half + 127) << 23);
}

}  // namespace alchemist::ALCHEMIST_SIMD

#endif  // ALCHEMIST_KERNELS_SIMD_H_
