#include "model/adapter_gradients.h"

#include <algorithm>

namespace alchemist {

AdapterGradients::AdapterGradients(const LoraAdapter& like) : tensors_(like.layers()) {
  for (int64_t layer = 0; layer < like.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      const LoraView view = like.View(layer, linear);
      if (view.a.data == nullptr) continue;
      Pair& pair = tensors_[layer][static_cast<int>(linear)];
      pair.rank = view.a.rows;
      pair.a.resize(view.a.rows * view.a.width);
      pair.b.resize(view.b.rows * view.b.width);
    }
  }
}

void AdapterGradients::SetZero() {
  for (auto& layer : tensors_) {
    for (Pair& pair : layer) {
      std::fill(pair.a.begin(), pair.a.end(), 0.0f);
      std::fill(pair.b.begin(), pair.b.end(), 0.0f);
    }
  }
}

TensorView AdapterGradients::A(int64_t layer, Linear linear) {
  Pair& pair = tensors_[layer][static_cast<int>(linear)];
  if (pair.rank == 0) return {};
  return {pair.a.data(), pair.rank, static_cast<int64_t>(pair.a.size()) / pair.rank, DType::kF32};
}

TensorView AdapterGradients::B(int64_t layer, Linear linear) {
  Pair& pair = tensors_[layer][static_cast<int>(linear)];
  if (pair.rank == 0) return {};
  return {pair.b.data(), static_cast<int64_t>(pair.b.size()) / pair.rank, pair.rank, DType::kF32};
}

}  // namespace alchemist
