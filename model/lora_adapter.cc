#include "model/lora_adapter.h"

#include "base/logging.h"
#include "base/random.h"
#include "model/lora_tensors.h"

namespace alchemist {

LoraAdapter::LoraAdapter(const ModelConfig& model, const LoraConfig& config)
    : config_(config), tensors_(model.layers) {
  for (const Linear linear : kLinears) {
    const int index = static_cast<int>(linear);
    shapes_[index] = LinearShape(model, linear);
    if (!config.Targets(linear)) continue;
    for (int64_t layer = config.lowest_layer; layer < model.layers; ++layer) {
      tensors_[layer][index].a.resize(config.rank * shapes_[index].in);
      tensors_[layer][index].b.resize(shapes_[index].out * config.rank);
    }
  }
}

absl::StatusOr<std::unique_ptr<LoraAdapter>> LoraAdapter::Create(const ModelConfig& model,
                                                                 const LoraConfig& config,
                                                                 uint64_t seed) {
  RETURN_IF_ERROR(CheckLoraConfig(config, model));
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter(model, config));
  Random random(seed);
  const double deviation = 1.0 / static_cast<double>(config.rank);
  for (auto& layer : adapter->tensors_) {
    for (Pair& pair : layer) {
      for (float& value : pair.a) value = static_cast<float>(deviation * random.Normal());
    }
  }
  adapter->UpdateDigest();
  return adapter;
}

std::unique_ptr<LoraAdapter> LoraAdapter::Clone() const {
  return std::unique_ptr<LoraAdapter>(new LoraAdapter(*this));
}

LoraView LoraAdapter::View(int64_t layer, Linear linear) const {
  CHECK(layer >= 0 && layer < layers()) << layer;
  const Pair& pair = tensors_[layer][static_cast<int>(linear)];
  if (pair.a.empty()) return {};
  const MatmulShape& shape = shapes_[static_cast<int>(linear)];
  return {{pair.a.data(), config_.rank, shape.in, DType::kF32},
          {pair.b.data(), shape.out, config_.rank, DType::kF32},
          config_.Scale()};
}

TensorView LoraAdapter::MutableA(int64_t layer, Linear linear) {
  CHECK(View(layer, linear).a.data != nullptr) << layer << " " << LinearName(linear);
  const int index = static_cast<int>(linear);
  return {tensors_[layer][index].a.data(), config_.rank, shapes_[index].in, DType::kF32};
}

TensorView LoraAdapter::MutableB(int64_t layer, Linear linear) {
  CHECK(View(layer, linear).b.data != nullptr) << layer << " " << LinearName(linear);
  const int index = static_cast<int>(linear);
  return {tensors_[layer][index].b.data(), shapes_[index].out, config_.rank, DType::kF32};
}

void LoraAdapter::UpdateDigest() { digest_ = LoraWriter(*this).Sha256Hex(); }

}  // namespace alchemist
