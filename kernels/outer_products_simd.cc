#include "kernels/outer_products_simd.h"

#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

constexpr int64_t kVectors = kOuterColumns / kLanes;
// As many independent sums as hide the latency of an addition and fit the registers.
constexpr int64_t kRowsAtOnce = kVectors == 1 ? 8 : 4;

}  // namespace

void AccumulateOuterBlock(const float* u, const float* x, int64_t rows, float* dst,
                          int64_t dst_stride) {
  for (int64_t first = 0; first < kOuterRows; first += kRowsAtOnce) {
    float* const block = dst + first * dst_stride;
    Vec sums[kRowsAtOnce][kVectors];
    for (int64_t i = 0; i < kRowsAtOnce; ++i) {
      for (int64_t v = 0; v < kVectors; ++v) sums[i][v] = Load(block + i * dst_stride + v * kLanes);
    }
    for (int64_t t = 0; t < rows; ++t) {
      Vec terms[kVectors];
      for (int64_t v = 0; v < kVectors; ++v) terms[v] = Load(x + t * kOuterColumns + v * kLanes);
      for (int64_t i = 0; i < kRowsAtOnce; ++i) {
        const Vec factor = Set(u[t * kOuterRows + first + i]);
        for (int64_t v = 0; v < kVectors; ++v) sums[i][v] = Fma(factor, terms[v], sums[i][v]);
      }
    }
    for (int64_t i = 0; i < kRowsAtOnce; ++i) {
      for (int64_t v = 0; v < kVectors; ++v) Store(block + i * dst_stride + v * kLanes, sums[i][v]);
    }
  }
}

}  // namespace alchemist::ALCHEMIST_SIMD
