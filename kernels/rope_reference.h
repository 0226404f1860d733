// Rope of one head as a plain loop, for float, double and std::complex<double>.
#ifndef ALCHEMIST_KERNELS_ROPE_REFERENCE_H_
#define ALCHEMIST_KERNELS_ROPE_REFERENCE_H_

#include <cstdint>

namespace alchemist {

// Rotates the pairs (x[i], x[i + half]) by the angles whose cosines and sines are given, in place.
template <typename T>
void RopeReference(T* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const T first = x[i];
    const T second = x[i + half];
    x[i] = first * T(cos[i]) - second * T(sin[i]);
    x[i + half] = second * T(cos[i]) + first * T(sin[i]);
  }
}

// The transpose, which is also the inverse: rotates back.
template <typename T>
void RopeReferenceVjp(T* dx, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const T first = dx[i];
    const T second = dx[i + half];
    dx[i] = first * T(cos[i]) + second * T(sin[i]);
    dx[i + half] = second * T(cos[i]) - first * T(sin[i]);
  }
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROPE_REFERENCE_H_
