// SwiGLU of one element, for float, double and std::complex<double>.
#ifndef ALCHEMIST_KERNELS_SWIGLU_REFERENCE_H_
#define ALCHEMIST_KERNELS_SWIGLU_REFERENCE_H_

#include <cmath>

namespace alchemist {

template <typename T>
T SwigluReference(T gate, T up) {
  return gate / (T(1) + std::exp(-gate)) * up;
}

// With s = sigmoid(gate): d silu(gate) / d gate = s (1 + gate (1 - s)).
template <typename T>
void SwigluReferenceVjp(T gate, T up, T dy, T* dgate, T* dup) {
  const T sigmoid = T(1) / (T(1) + std::exp(-gate));
  *dgate = dy * up * sigmoid * (T(1) + gate * (T(1) - sigmoid));
  *dup = dy * gate * sigmoid;
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SWIGLU_REFERENCE_H_
