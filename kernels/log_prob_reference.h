// Log-probabilities of one row as plain loops, for float, double and std::complex<double>.
#ifndef ALCHEMIST_KERNELS_LOG_PROB_REFERENCE_H_
#define ALCHEMIST_KERNELS_LOG_PROB_REFERENCE_H_

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "kernels/matmul_reference.h"

namespace alchemist {

// log softmax of a row of logits.
template <typename T>
std::vector<T> LogSoftmaxReference(std::vector<T> logits) {
  T max = logits[0];
  for (const T& logit : logits) {
    if (std::real(logit) > std::real(max)) max = logit;
  }
  T sum = T(0);
  for (const T& logit : logits) sum += std::exp(logit - max);
  for (T& logit : logits) logit -= max + std::log(sum);
  return logits;
}

template <typename T>
T LogProbReference(const T* hidden, const T* head, int64_t width, int64_t vocab, int32_t target) {
  std::vector<T> logits(vocab, T(0));
  AddProductReference(hidden, head, 1, width, vocab, logits.data());
  return LogSoftmaxReference(logits)[target];
}

// dhidden += d/dhidden; dhead += c * d/dhead.
template <typename T>
void LogProbReferenceVjp(const T* hidden, const T* head, int64_t width, int64_t vocab,
                         int32_t target, T c, T* dhidden, T* dhead) {
  std::vector<T> dlogits(vocab, T(0));
  AddProductReference(hidden, head, 1, width, vocab, dlogits.data());
  dlogits = LogSoftmaxReference(dlogits);
  for (T& element : dlogits) element = -std::exp(element);
  dlogits[target] += T(1);
  AddInputGradientReference(dlogits.data(), head, 1, width, vocab, dhidden);
  for (T& element : dlogits) element *= c;
  AddWeightGradientReference(dlogits.data(), hidden, 1, width, vocab, dhead);
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LOG_PROB_REFERENCE_H_
