// ReferenceModel: a whole model as plain loops over T, with no kernel in it, to judge the real
// passes by. With T = std::complex<...> it differentiates itself by complex step. As a naive model
// in bf16 it computes in T and rounds what every step makes, derivatives too. Tests only.
#ifndef ALCHEMIST_MODEL_REFERENCE_MODEL_H_
#define ALCHEMIST_MODEL_REFERENCE_MODEL_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "kernels/bf16.h"
#include "model/layer_parts.h"
#include "model/lora_adapter.h"
#include "model/model.h"

namespace alchemist {

template <typename T>
struct ReferenceTensor {
  ReferenceTensor() = default;
  ReferenceTensor(int64_t rows, int64_t width) : rows(rows), width(width), values(rows * width) {}
  explicit ReferenceTensor(ConstTensorView from) : ReferenceTensor(from.rows, from.width) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = from.dtype == DType::kBf16 ? ToF32(static_cast<const Bf16*>(from.data)[i])
                                             : static_cast<const float*>(from.data)[i];
    }
  }
  T* Row(int64_t row) { return values.data() + row * width; }
  const T* Row(int64_t row) const { return values.data() + row * width; }

  int64_t rows = 0;
  int64_t width = 0;
  std::vector<T> values;
};

// A trained token as the reference sees it: `token` follows `position`.
struct ReferenceTarget {
  int64_t position = 0;
  int32_t token = 0;
  double c = 0;
};

template <typename T>
class ReferenceModel {
 public:
  using Tensor = ReferenceTensor<T>;
  struct Layer {
    Tensor input_norm, ffn_norm, q_norm, k_norm;
    std::array<Tensor, kLinears.size()> weights, biases, a, b;
  };
  struct Named {
    std::string name;  // As ParameterSet names weights; "0.q_proj.A" for an adapter's.
    Tensor* tensor;
  };

  // Rounds to bf16 when the model is bf16 and T is no double: the naive way.
  ReferenceModel(const Model& model, const LoraAdapter* adapter);

  // [positions, vocab]
  Tensor Logits(absl::Span<const int32_t> tokens) const;
  // sum of c * log pi(token | tokens up to position)
  T Objective(absl::Span<const int32_t> tokens, absl::Span<const ReferenceTarget> targets) const;

  std::vector<Named> AdapterTensors();
  std::vector<Named> Weights();  // A tied head is the embedding.

 private:
  void Round(Tensor& tensor) const;
  void Linears(const Layer& layer, Linear linear, const Tensor& x, Tensor& y) const;
  void Norm(const Tensor& x, const Tensor& gamma, Tensor& y) const;
  void Rotate(Tensor& x) const;
  void Attend(const Tensor& q, const Tensor& k, const Tensor& v, Tensor& out) const;
  void RunLayer(const Layer& layer, Tensor& x) const;

  const ModelConfig config_;
  const bool rounds_;
  double lora_scale_ = 0;
  Tensor embedding_;
  std::vector<Layer> layers_;
  Tensor final_norm_;
  Tensor head_;  // Without rows when tied.
};

template <typename T>
ReferenceModel<T>::ReferenceModel(const Model& model, const LoraAdapter* adapter)
    : config_(model.config()),
      rounds_(model.dtype() == DType::kBf16),
      lora_scale_(adapter != nullptr ? adapter->config().Scale() : 0),
      embedding_(model.weights().embedding),
      final_norm_(model.weights().final_norm) {
  CHECK(config_.rope.scaling == RopeScaling::kNone);
  if (!config_.tied_head) head_ = Tensor(model.weights().head.values);
  for (int64_t l = 0; l < config_.layers; ++l) {
    const LayerWeights& from = model.weights().layers[l];
    Layer& layer = layers_.emplace_back();
    layer.input_norm = Tensor(from.input_norm);
    layer.ffn_norm = Tensor(from.ffn_norm);
    layer.q_norm = Tensor(from.q_norm);
    layer.k_norm = Tensor(from.k_norm);
    for (const Linear linear : kLinears) {
      const int i = static_cast<int>(linear);
      layer.weights[i] = Tensor(LinearWeight(from, linear).values);
      layer.biases[i] = Tensor(LinearWeight(from, linear).bias);
      if (adapter == nullptr) continue;
      layer.a[i] = Tensor(adapter->View(l, linear).a);
      layer.b[i] = Tensor(adapter->View(l, linear).b);
    }
  }
}

template <typename T>
void MultiplyTransposed(const ReferenceTensor<T>& x, const ReferenceTensor<T>& w, T scale,
                        ReferenceTensor<T>& y) {
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < w.rows; ++i) {
      T sum = 0;
      for (int64_t j = 0; j < w.width; ++j) sum += x.Row(t)[j] * w.Row(i)[j];
      y.Row(t)[i] += scale * sum;
    }
  }
}

inline float RoundedToBf16(float x) { return ToF32(ToBf16(x)); }
inline std::complex<float> RoundedToBf16(std::complex<float> x) {
  return {RoundedToBf16(x.real()), RoundedToBf16(x.imag())};
}

template <typename T>
void ReferenceModel<T>::Round([[maybe_unused]] Tensor& tensor) const {
  if constexpr (sizeof(std::real(T())) == sizeof(float)) {  // Doubles are the truth.
    if (!rounds_) return;
    for (T& value : tensor.values) value = RoundedToBf16(value);
  }
}

template <typename T>
void ReferenceModel<T>::Linears(const Layer& layer, Linear linear, const Tensor& x,
                                Tensor& y) const {
  const int i = static_cast<int>(linear);
  y = Tensor(x.rows, layer.weights[i].rows);
  MultiplyTransposed(x, layer.weights[i], T(1), y);
  for (int64_t t = 0; t < x.rows && layer.biases[i].rows > 0; ++t) {
    for (int64_t j = 0; j < y.width; ++j) y.Row(t)[j] += layer.biases[i].Row(0)[j];
  }
  if (layer.a[i].rows > 0) {
    Tensor low(x.rows, layer.a[i].rows);
    MultiplyTransposed(x, layer.a[i], T(1), low);
    MultiplyTransposed(low, layer.b[i], T(lora_scale_), y);
  }
  Round(y);
}

template <typename T>
void ReferenceModel<T>::Norm(const Tensor& x, const Tensor& gamma, Tensor& y) const {
  y = Tensor(x.rows, x.width);
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t first = 0; first < x.width; first += gamma.width) {
      const T* const from = x.Row(t) + first;
      T sum = 0;
      for (int64_t j = 0; j < gamma.width; ++j) sum += from[j] * from[j];
      const T rms = std::sqrt(sum / T(gamma.width) + T(config_.norm_epsilon));
      for (int64_t j = 0; j < gamma.width; ++j) {
        y.Row(t)[first + j] = from[j] / rms * gamma.Row(0)[j];
      }
    }
  }
  Round(y);
}

template <typename T>
void ReferenceModel<T>::Rotate(Tensor& x) const {
  const int64_t half = config_.head_dim / 2;
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t head = 0; head < x.width; head += config_.head_dim) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = t * std::pow(config_.rope.theta, -2.0 * i / config_.head_dim);
        T& low = x.Row(t)[head + i];
        T& high = x.Row(t)[head + i + half];
        const T rotated_low = low * T(std::cos(angle)) - high * T(std::sin(angle));
        high = high * T(std::cos(angle)) + low * T(std::sin(angle));
        low = rotated_low;
      }
    }
  }
  Round(x);
}

// Softmax weights of `scores` in place; returns the log of the sum of exponentials.
template <typename T>
T Softmax(std::vector<T>& scores) {
  auto largest = std::real(scores[0]);
  for (const T& score : scores) largest = std::max(largest, std::real(score));
  T sum = 0;
  for (T& score : scores) sum += score = std::exp(score - T(largest));
  for (T& score : scores) score /= sum;
  return std::log(sum) + T(largest);
}

template <typename T>
void ReferenceModel<T>::Attend(const Tensor& q, const Tensor& k, const Tensor& v,
                               Tensor& out) const {
  const int64_t dim = config_.head_dim;
  const T scale = T(1 / std::sqrt(static_cast<double>(dim)));
  out = Tensor(q.rows, q.width);
  for (int64_t t = 0; t < q.rows; ++t) {
    for (int64_t head = 0; head < config_.heads; ++head) {
      const int64_t kv = head / (config_.heads / config_.kv_heads) * dim;
      std::vector<T> scores(t + 1);
      for (int64_t s = 0; s <= t; ++s) {
        T dot = 0;
        for (int64_t i = 0; i < dim; ++i) dot += q.Row(t)[head * dim + i] * k.Row(s)[kv + i];
        scores[s] = dot * scale;
      }
      Softmax(scores);
      for (int64_t s = 0; s <= t; ++s) {
        for (int64_t i = 0; i < dim; ++i) {
          out.Row(t)[head * dim + i] += scores[s] * v.Row(s)[kv + i];
        }
      }
    }
  }
  Round(out);
}

template <typename T>
void ReferenceModel<T>::RunLayer(const Layer& layer, Tensor& x) const {
  Tensor normed, q, k, v, attention, o, gate, up, down;
  Norm(x, layer.input_norm, normed);
  Linears(layer, Linear::kQ, normed, q);
  Linears(layer, Linear::kK, normed, k);
  Linears(layer, Linear::kV, normed, v);
  if (config_.qk_norm) {
    Norm(Tensor(q), layer.q_norm, q);
    Norm(Tensor(k), layer.k_norm, k);
  }
  Rotate(q);
  Rotate(k);
  Attend(q, k, v, attention);
  Linears(layer, Linear::kO, attention, o);
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += o.values[i];
  Round(x);

  Norm(x, layer.ffn_norm, normed);
  Linears(layer, Linear::kGate, normed, gate);
  Linears(layer, Linear::kUp, normed, up);
  for (size_t i = 0; i < gate.values.size(); ++i) {
    gate.values[i] = gate.values[i] / (T(1) + std::exp(-gate.values[i])) * up.values[i];
  }
  Round(gate);
  Linears(layer, Linear::kDown, gate, down);
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += down.values[i];
  Round(x);
}

template <typename T>
ReferenceTensor<T> ReferenceModel<T>::Logits(absl::Span<const int32_t> tokens) const {
  Tensor x(static_cast<int64_t>(tokens.size()), config_.hidden);
  for (int64_t t = 0; t < x.rows; ++t) {
    std::copy(embedding_.Row(tokens[t]), embedding_.Row(tokens[t]) + x.width, x.Row(t));
  }
  for (const Layer& layer : layers_) RunLayer(layer, x);
  Tensor normed;
  Norm(x, final_norm_, normed);
  Tensor logits(x.rows, config_.vocab);
  MultiplyTransposed(normed, config_.tied_head ? embedding_ : head_, T(1), logits);
  return logits;
}

template <typename T>
T ReferenceModel<T>::Objective(absl::Span<const int32_t> tokens,
                               absl::Span<const ReferenceTarget> targets) const {
  const Tensor logits = Logits(tokens);
  T objective = 0;
  for (const ReferenceTarget& target : targets) {
    const T* const row = logits.Row(target.position);
    std::vector<T> scores(row, row + logits.width);
    objective += T(target.c) * (row[target.token] - Softmax(scores));
  }
  return objective;
}

template <typename T>
std::vector<typename ReferenceModel<T>::Named> ReferenceModel<T>::AdapterTensors() {
  std::vector<Named> named;
  for (size_t l = 0; l < layers_.size(); ++l) {
    for (const Linear linear : kLinears) {
      const int i = static_cast<int>(linear);
      if (layers_[l].a[i].rows == 0) continue;
      named.push_back({absl::StrCat(l, ".", LinearName(linear), ".A"), &layers_[l].a[i]});
      named.push_back({absl::StrCat(l, ".", LinearName(linear), ".B"), &layers_[l].b[i]});
    }
  }
  return named;
}

template <typename T>
std::vector<typename ReferenceModel<T>::Named> ReferenceModel<T>::Weights() {
  std::vector<Named> named = {{"model.embed_tokens.weight", &embedding_},
                              {"model.norm.weight", &final_norm_}};
  if (!config_.tied_head) named.push_back({"lm_head.weight", &head_});
  for (size_t l = 0; l < layers_.size(); ++l) {
    const std::string prefix = absl::StrCat("model.layers.", l, ".");
    Layer& layer = layers_[l];
    named.push_back({prefix + "input_layernorm.weight", &layer.input_norm});
    named.push_back({prefix + "post_attention_layernorm.weight", &layer.ffn_norm});
    if (config_.qk_norm) {
      named.push_back({prefix + "self_attn.q_norm.weight", &layer.q_norm});
      named.push_back({prefix + "self_attn.k_norm.weight", &layer.k_norm});
    }
    for (const Linear linear : kLinears) {
      const int i = static_cast<int>(linear);
      const std::string path =
          absl::StrCat(prefix, linear <= Linear::kO ? "self_attn." : "mlp.", LinearName(linear));
      named.push_back({path + ".weight", &layer.weights[i]});
      if (layer.biases[i].rows > 0) named.push_back({path + ".bias", &layer.biases[i]});
    }
  }
  return named;
}

// d objective / d tensor, a tensor of `model`, one complex step an element. Real's smallest normal
// number is far below the square of the step that the products of two steps come to.
template <typename Real>
std::vector<Real> ObjectiveGradient(const ReferenceModel<std::complex<Real>>& model,
                                    std::vector<std::complex<Real>>& tensor,
                                    absl::Span<const int32_t> tokens,
                                    absl::Span<const ReferenceTarget> targets) {
  constexpr Real kStep = sizeof(Real) == 4 ? Real(1e-18) : Real(1e-100);
  std::vector<Real> gradient;
  for (std::complex<Real>& element : tensor) {
    element.imag(kStep);
    gradient.push_back(model.Objective(tokens, targets).imag() / kStep);
    element.imag(0);
  }
  return gradient;
}

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_REFERENCE_MODEL_H_
