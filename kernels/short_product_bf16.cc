// Rows and weights in pairs of bf16.
#include "kernels/short_product_loops.h"
#include "kernels/short_product_simd.h"
#include "kernels/simd.h"

namespace alchemist::avx512_bf16 {
namespace {

using avx512::IntVec;
using avx512::kLanes;
using avx512::kPanelLanes;
using avx512::Vec;

struct PairTerms {
  static constexpr int64_t kElements = 2;
  static constexpr int64_t kLines = 2;

  ALCHEMIST_INLINE Vec MultiplyAdd(Vec x, Vec w, Vec sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
  }

  ALCHEMIST_INLINE void Fill(const uint16_t* w, int64_t stride, int64_t terms, float* panel) {
    for (int64_t t = 0; t < terms; t += kLanes) {
      IntVec lanes[kLanes];
      avx512::LoadTurned(w + 2 * t, stride, lanes);
      for (int64_t i = 0; i < kLanes; ++i) {
        avx512::Store(panel + (t + i) * kPanelLanes, (Vec)lanes[i]);
      }
    }
  }
};

}  // namespace

void ShortProduct(const ShortProductArguments<uint16_t, uint16_t>& a) {
  avx512::ShortProductOf<PairTerms>(a);
}

}  // namespace alchemist::avx512_bf16
