// Matrix products as plain loops, for float, double and std::complex<double>. They add to y.
#ifndef ALCHEMIST_KERNELS_MATMUL_REFERENCE_H_
#define ALCHEMIST_KERNELS_MATMUL_REFERENCE_H_

#include <cstdint>

namespace alchemist {

// y += x W^T: x [rows, in], w [out, in], y [rows, out].
template <typename T>
void AddProductReference(const T* x, const T* w, int64_t rows, int64_t in, int64_t out, T* y) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t n = 0; n < out; ++n) {
      T sum = T(0);
      for (int64_t k = 0; k < in; ++k) sum += x[t * in + k] * w[n * in + k];
      y[t * out + n] += sum;
    }
  }
}

// dx += dy W.
template <typename T>
void AddInputGradientReference(const T* dy, const T* w, int64_t rows, int64_t in, int64_t out,
                               T* dx) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t k = 0; k < in; ++k) {
      T sum = T(0);
      for (int64_t n = 0; n < out; ++n) sum += dy[t * out + n] * w[n * in + k];
      dx[t * in + k] += sum;
    }
  }
}

// dw += dy^T x.
template <typename T>
void AddWeightGradientReference(const T* dy, const T* x, int64_t rows, int64_t in, int64_t out,
                                T* dw) {
  for (int64_t n = 0; n < out; ++n) {
    for (int64_t k = 0; k < in; ++k) {
      for (int64_t t = 0; t < rows; ++t) dw[n * in + k] += dy[t * out + n] * x[t * in + k];
    }
  }
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_REFERENCE_H_
