#include "kernels/adamw_cpu.h"

#include <algorithm>

#include "kernels/vector_math.h"

namespace alchemist {
namespace {

constexpr int64_t kBlock = 64;

// change[i] = the change of weights[i]. Four arrays that share no memory.
__attribute__((always_inline)) inline void UpdateBlock(const AdamWStepConstants& c,
                                                       const float* gradient, int64_t count,
                                                       float* weights, float* first_moment,
                                                       float* second_moment, double* change) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    double weight = weights[i];
    double first = first_moment[i];
    double second = second_moment[i];
    AdamWReference<double>(c, gradient[i], &weight, &first, &second);
    const float rounded = static_cast<float>(weight);
    change[i] = static_cast<double>(rounded) - static_cast<double>(weights[i]);
    weights[i] = rounded;
    first_moment[i] = static_cast<float>(first);
    second_moment[i] = static_cast<float>(second);
  }
}

}  // namespace

ALCHEMIST_VECTOR_CLONES
double AdamWTileCpu(const AdamWStepConstants& constants, const float* gradient, int64_t count,
                    float* weights, float* first_moment, float* second_moment) {
  const AdamWStepConstants c = constants;  // A copy that no store below can change.
  double sum = 0;
  for (int64_t i = 0; i < count; i += kBlock) {
    double change[kBlock];
    const int64_t block = std::min(kBlock, count - i);
    UpdateBlock(c, gradient + i, block, weights + i, first_moment + i, second_moment + i, change);
    sum += SumInLanes<double>(block, [&](int64_t j) { return change[j] * change[j]; });
  }
  return sum;
}

ALCHEMIST_VECTOR_CLONES
double SumOfSquaresCpu(const float* x, int64_t count) {
  return SumInLanes<double>(count, [=](int64_t i) { return static_cast<double>(x[i]) * x[i]; });
}

}  // namespace alchemist
