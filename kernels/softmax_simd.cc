#include "kernels/softmax_simd.h"

#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

constexpr int64_t kStretch = 1024;

// The elements after the last whole vector, those missing set to `fill`.
ALCHEMIST_INLINE Vec LoadTail(const float* x, int64_t count, float fill) {
  Vec tail = Set(fill);
  for (int64_t i = 0; i < count; ++i) tail[i] = x[i];
  return tail;
}

ALCHEMIST_INLINE void StoreTail(float* x, int64_t count, Vec tail) {
  for (int64_t i = 0; i < count; ++i) x[i] = tail[i];
}

// e(x[i]) summed; `store` says whether to write them to x.
template <bool kStore, typename T>
ALCHEMIST_INLINE double SumExpOf(T* x, int64_t count, float max) {
  const Vec shift = Set(max);
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= count) {
    const int64_t end = i + kStretch < count ? i + kStretch : count;
    Vec sum = {};
    for (; i + kLanes <= end; i += kLanes) {
      const Vec e = ExpOfNegative(Load(x + i) - shift);
      if constexpr (kStore) Store(x + i, e);
      sum += e;
    }
    total += ReduceAdd(sum);
  }
  if (i < count) {
    // e^-infinity adds nothing.
    const Vec e = ExpOfNegative(LoadTail(x + i, count - i, -__builtin_inff()) - shift);
    if constexpr (kStore) StoreTail(x + i, count - i, e);
    total += ReduceAdd(e);
  }
  return total;
}

}  // namespace

float RowMax(const float* x, int64_t count) {
  Vec max = Set(-__builtin_inff());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) max = Max(Load(x + i), max);
  if (i < count) max = Max(LoadTail(x + i, count - i, -__builtin_inff()), max);
  return ReduceMax(max);
}

double SumExp(const float* x, int64_t count, float max) { return SumExpOf<false>(x, count, max); }

double SumExpInPlace(float* x, int64_t count, float max) { return SumExpOf<true>(x, count, max); }

void ScaleRow(float* x, int64_t count, float factor) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(x + i, Load(x + i) * Set(factor));
  for (; i < count; ++i) x[i] *= factor;
}

}  // namespace alchemist::ALCHEMIST_SIMD
