// Causal grouped-query attention of one sequence as plain loops, for float, double and
// std::complex<double>.
#ifndef ALCHEMIST_KERNELS_ATTENTION_REFERENCE_H_
#define ALCHEMIST_KERNELS_ATTENTION_REFERENCE_H_

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention.h"

namespace alchemist {

template <typename T>
struct AttentionReference {
  AttentionShape shape;
  absl::Span<const int32_t> positions;
  const T* q;  // [positions, heads * head_dim]
  const T* k;  // [keys, kv_heads * head_dim]
  const T* v;

  int64_t Row(int64_t t, int64_t head) const { return (t * shape.heads + head) * shape.head_dim; }
  int64_t Key(int64_t key, int64_t head) const {
    const int64_t kv_head = head / (shape.heads / shape.kv_heads);
    return (key * shape.kv_heads + kv_head) * shape.head_dim;
  }
  T Dot(const T* a, const T* b) const {
    T sum = T(0);
    for (int64_t d = 0; d < shape.head_dim; ++d) sum += a[d] * b[d];
    return sum;
  }

  // The probabilities of the keys that row t sees, and the log-sum-exp of their scores.
  std::vector<T> Probabilities(int64_t t, int64_t head, T* lse) const {
    std::vector<T> scores;
    T max = T(0);
    for (int64_t key = 0; key <= positions[t]; ++key) {
      scores.push_back(Dot(q + Row(t, head), k + Key(key, head)) * T(shape.scale));
      if (key == 0 || std::real(scores.back()) > std::real(max)) max = scores.back();
    }
    T sum = T(0);
    for (const T& score : scores) sum += std::exp(score - max);
    *lse = max + std::log(sum);
    for (T& score : scores) score = std::exp(score - *lse);
    return scores;  // They are probabilities now.
  }

  void Forward(T* out, T* lse) const {
    for (int64_t t = 0; t < static_cast<int64_t>(positions.size()); ++t) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        const std::vector<T> p = Probabilities(t, head, &lse[t * shape.heads + head]);
        for (int64_t d = 0; d < shape.head_dim; ++d) {
          T sum = T(0);
          for (size_t key = 0; key < p.size(); ++key) sum += p[key] * v[Key(key, head) + d];
          out[Row(t, head) + d] = sum;
        }
      }
    }
  }

  // dq += d/dq, dk += d/dk, dv += d/dv; `out` is what Forward made, as it was stored.
  void Vjp(const T* out, const T* dout, T* dq, T* dk, T* dv) const {
    for (int64_t t = 0; t < static_cast<int64_t>(positions.size()); ++t) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        const int64_t row = Row(t, head);
        const T dout_out = Dot(dout + row, out + row);
        T lse;
        const std::vector<T> p = Probabilities(t, head, &lse);
        for (size_t i = 0; i < p.size(); ++i) {
          const int64_t key = Key(i, head);
          const T ds = p[i] * (Dot(dout + row, v + key) - dout_out) * T(shape.scale);
          for (int64_t d = 0; d < shape.head_dim; ++d) {
            dv[key + d] += p[i] * dout[row + d];
            dk[key + d] += ds * q[row + d];
            dq[row + d] += ds * k[key + d];
          }
        }
      }
    }
  }
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ATTENTION_REFERENCE_H_
