// The online softmax of one row-head over a block of 32 scores (Milakov and Gimelshein 2018), for
// kernels that are compiled once per instruction set (simd.h).
#ifndef ALCHEMIST_KERNELS_RUNNING_SOFTMAX_H_
#define ALCHEMIST_KERNELS_RUNNING_SOFTMAX_H_

#include <cstdint>

#include "kernels/attention_simd.h"
#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {

constexpr int64_t kKeyVectors = kKeysPerBlock / kLanes;

// Whether each key of vector v is among the first `visible`: all ones or 0.
ALCHEMIST_INLINE IntVec IsVisible(int64_t v, int32_t visible) {
  IntVec index;
  for (int64_t i = 0; i < kLanes; ++i) index[i] = static_cast<int32_t>(v * kLanes + i);
  return index < visible;
}

// Takes 32 scores into a row-head's running softmax; they become exp(score - max), 0 where the key
// is not visible. What was summed before is scaled down when the maximum rises.
ALCHEMIST_INLINE void TakeScores(float* scores, int32_t visible, float scale, float* max,
                                 float* sum, float* out, int64_t width) {
  Vec scaled[kKeyVectors];
  Vec highest = Set(*max);
  for (int64_t v = 0; v < kKeyVectors; ++v) {
    scaled[v] = Load(scores + v * kLanes) * Set(scale);
    scaled[v] = IsVisible(v, visible) ? scaled[v] : Set(-__builtin_inff());
    highest = Max(scaled[v], highest);
  }
  const float new_max = ReduceMax(highest);
  if (new_max > *max) {
    const float shrink = ExpOfNegative(Set(*max - new_max))[0];
    *sum *= shrink;
    for (int64_t d = 0; d < width; d += kLanes) Store(out + d, Load(out + d) * Set(shrink));
    *max = new_max;
  }
  Vec block_sum = {};
  for (int64_t v = 0; v < kKeyVectors; ++v) {
    const Vec e = ExpOfNegative(scaled[v] - Set(*max));
    Store(scores + v * kLanes, e);
    block_sum += e;
  }
  *sum += ReduceAdd(block_sum);
}

}  // namespace alchemist::ALCHEMIST_SIMD

#endif  // ALCHEMIST_KERNELS_RUNNING_SOFTMAX_H_
