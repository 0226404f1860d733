// A low-rank adapter on one segment as plain loops, for float, double and std::complex<double>.
#ifndef ALCHEMIST_KERNELS_LORA_REFERENCE_H_
#define ALCHEMIST_KERNELS_LORA_REFERENCE_H_

#include <cstdint>
#include <vector>

#include "kernels/matmul_reference.h"

namespace alchemist {

template <typename T>
struct LoraReference {
  const T* a;  // [rank, in]
  const T* b;  // [out, rank]
  T scale;
  int64_t in, rank, out;

  std::vector<T> ScaledDown(const T* x, int64_t rows) const {
    std::vector<T> u(rows * rank, T(0));
    AddProductReference(x, a, rows, in, rank, u.data());
    for (T& element : u) element *= scale;
    return u;
  }

  void Forward(const T* x, int64_t rows, T* y) const {
    AddProductReference(ScaledDown(x, rows).data(), b, rows, rank, out, y);
  }

  // dx += d/dx, da += d/dA, db += d/dB.
  void Vjp(const T* x, const T* dy, int64_t rows, T* dx, T* da, T* db) const {
    const std::vector<T> u = ScaledDown(x, rows);
    std::vector<T> du(rows * rank, T(0));
    AddInputGradientReference(dy, b, rows, rank, out, du.data());
    for (T& element : du) element *= scale;
    AddWeightGradientReference(dy, u.data(), rows, rank, out, db);
    AddWeightGradientReference(du.data(), x, rows, in, rank, da);
    AddInputGradientReference(du.data(), a, rows, in, rank, dx);
  }
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LORA_REFERENCE_H_
