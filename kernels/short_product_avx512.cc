// f32 rows, and weights in f32 or bf16, which become f32 in the panel.
#include "kernels/short_product_loops.h"
#include "kernels/short_product_simd.h"
#include "kernels/simd.h"

namespace alchemist::avx512 {
namespace {

template <typename Weight>
struct F32Terms {
  static constexpr int64_t kElements = 1;
  static constexpr int64_t kLines = sizeof(Weight) / 2;

  ALCHEMIST_INLINE Vec MultiplyAdd(Vec x, Vec w, Vec sum) { return Fma(x, w, sum); }

  ALCHEMIST_INLINE void Fill(const float* w, int64_t stride, int64_t terms, float* panel) {
    for (int64_t t = 0; t < terms; t += kLanes) {
      IntVec lanes[kLanes];
      LoadTurned(w + t, stride, lanes);
      for (int64_t i = 0; i < kLanes; ++i) Store(panel + (t + i) * kPanelLanes, (Vec)lanes[i]);
    }
  }

  ALCHEMIST_INLINE void Fill(const uint16_t* w, int64_t stride, int64_t terms, float* panel) {
    const IntVec upper = IntVec{} + static_cast<int32_t>(0xffff0000);
    for (int64_t t = 0; t < terms; t += 2 * kLanes) {
      IntVec lanes[kLanes];
      LoadTurned(w + t, stride, lanes);
      for (int64_t i = 0; i < kLanes; ++i) {
        float* const pair = panel + (t + 2 * i) * kPanelLanes;
        Store(pair, (Vec)(lanes[i] << 16));
        Store(pair + kPanelLanes, (Vec)(lanes[i] & upper));
      }
    }
  }
};

}  // namespace

void ShortProduct(const ShortProductArguments<float, float>& a) {
  ShortProductOf<F32Terms<float>>(a);
}
void ShortProduct(const ShortProductArguments<float, uint16_t>& a) {
  ShortProductOf<F32Terms<uint16_t>>(a);
}

}  // namespace alchemist::avx512
