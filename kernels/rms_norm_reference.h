// RmsNorm of one group as plain loops, for float, double and std::complex<double>.
#ifndef ALCHEMIST_KERNELS_RMS_NORM_REFERENCE_H_
#define ALCHEMIST_KERNELS_RMS_NORM_REFERENCE_H_

#include <cmath>
#include <cstdint>

namespace alchemist {

template <typename T>
T InverseRmsReference(const T* x, int64_t width, double epsilon) {
  T sum = T(0);
  for (int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
  return T(1) / std::sqrt(sum / T(width) + T(epsilon));
}

template <typename T>
void RmsNormReference(const T* x, const T* gamma, int64_t width, double epsilon, T* y) {
  const T inverse_rms = InverseRmsReference(x, width, epsilon);
  for (int64_t i = 0; i < width; ++i) y[i] = x[i] * inverse_rms * gamma[i];
}

// dx += d/dx, dgamma += d/dgamma. With r = 1/rms:
// dx[i] = r gamma[i] dy[i] - x[i] r^3 / width * sum over k of dy[k] gamma[k] x[k].
template <typename T>
void RmsNormReferenceVjp(const T* x, const T* gamma, int64_t width, double epsilon, const T* dy,
                         T* dx, T* dgamma) {
  const T inverse_rms = InverseRmsReference(x, width, epsilon);
  T sum = T(0);
  for (int64_t i = 0; i < width; ++i) sum += dy[i] * gamma[i] * x[i];
  const T pull = sum * inverse_rms * inverse_rms * inverse_rms / T(width);
  for (int64_t i = 0; i < width; ++i) {
    dx[i] += inverse_rms * gamma[i] * dy[i] - x[i] * pull;
    dgamma[i] += dy[i] * x[i] * inverse_rms;
  }
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_RMS_NORM_REFERENCE_H_
