// Which of a kernel's three versions (kernels/simd.h) this machine runs. Any thread.
#ifndef ALCHEMIST_KERNELS_SIMD_LEVEL_H_
#define ALCHEMIST_KERNELS_SIMD_LEVEL_H_

#include <cstdint>

namespace alchemist {

enum class SimdLevel : uint8_t {
  kPortable = 0,
  kAvx2 = 1,
  kAvx512 = 2,
  // AVX-512, but where a kernel has a version of its own for bf16 operands: those that memory
  // bounds,
  kAvx512Bf16 = 3,
  kAvx512FullRateBf16 = 4,  // and with this one those that arithmetic bounds.
  // By tiles, where a kernel has a version for them. Intel's: pairs of bf16 have not the full rate.
  kAmxBf16 = 5,
};

const char* SimdLevelName(SimdLevel level);  // "AVX2", "AVX-512 BF16".
bool IsSupported(SimdLevel level);           // By this machine.

// Whether its products of bf16 are faster than those of f32. Not where two FMAs start in a cycle
// and one VDPBF16PS, of twice as many products, in two cycles (Intel's; measured on family 6 model
// 207). A property of the CPU, never a measurement: both daemons must come to the same bits.
bool HasFullRateBf16();

// The highest supported level, kAvx512FullRateBf16 only with HasFullRateBf16 or above it; or what a
// test set.
SimdLevel CurrentSimdLevel();

// REQUIRES: IsSupported(level), and no kernel runs meanwhile.
void SetSimdLevelForTest(SimdLevel level);

// Declares a function of an x_simd.cc in its three namespaces.
#define ALCHEMIST_DECLARE_SIMD(...) \
  namespace portable {              \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx2 {                  \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx512 {                \
  __VA_ARGS__;                      \
  }

template <typename Function>
Function* PickSimd(SimdLevel level, Function* portable, Function* avx2, Function* avx512) {
  switch (level) {
    case SimdLevel::kPortable:
      return portable;
    case SimdLevel::kAvx2:
      return avx2;
    case SimdLevel::kAvx512:
    case SimdLevel::kAvx512Bf16:
    case SimdLevel::kAvx512FullRateBf16:
    case SimdLevel::kAmxBf16:
      return avx512;
  }
  return portable;
}

// The version of `function` for `level`.
#define ALCHEMIST_SIMD_VERSION(level, function) \
  ::alchemist::PickSimd(level, &portable::function, &avx2::function, &avx512::function)

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SIMD_LEVEL_H_
