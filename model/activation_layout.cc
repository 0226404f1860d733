#include "model/activation_layout.h"

#include "base/logging.h"

namespace alchemist {

const char* ActivationTensorName(ActivationTensor tensor) {
  switch (tensor) {
    case ActivationTensor::kX:
      return "x";
    case ActivationTensor::kQ:
      return "q";
    case ActivationTensor::kAttention:
      return "attention";
    case ActivationTensor::kLse:
      return "lse";
    case ActivationTensor::kH:
      return "h";
    case ActivationTensor::kGate:
      return "gate";
    case ActivationTensor::kUp:
      return "up";
    case ActivationTensor::kKRaw:
      return "k_raw";
  }
  LOG(FATAL) << "no activation tensor " << static_cast<int>(tensor);
}

std::vector<TensorSpec> ForwardTensors(const ModelConfig& config, DType dtype, int64_t layer) {
  CHECK(layer >= 0 && layer <= config.layers) << layer << " of " << config.layers;
  if (layer == config.layers) {
    return {{ActivationTensor::kX, TensorGroup::kX, config.hidden, dtype, true}};
  }
  const bool last = layer == config.layers - 1;
  std::vector<TensorSpec> tensors = {
      {ActivationTensor::kX, TensorGroup::kX, config.hidden, dtype, false},
      {ActivationTensor::kQ, TensorGroup::kAttention, config.q_width(), dtype, last},
      {ActivationTensor::kAttention, TensorGroup::kAttention, config.q_width(), dtype, last},
      {ActivationTensor::kLse, TensorGroup::kAttention, config.heads, DType::kF32, last},
      {ActivationTensor::kH, TensorGroup::kAttention, config.hidden, dtype, last},
      {ActivationTensor::kGate, TensorGroup::kMlp, config.ffn, dtype, last},
      {ActivationTensor::kUp, TensorGroup::kMlp, config.ffn, dtype, last},
  };
  if (config.qk_norm) {
    tensors.push_back(
        {ActivationTensor::kKRaw, TensorGroup::kAttention, config.kv_width(), dtype, false});
  }
  return tensors;
}

ActivationLayout::ActivationLayout(const ModelConfig& config, DType dtype,
                                   int64_t lowest_trained_layer)
    : kv_width_(config.kv_width()), dtype_(dtype), lowest_trained_layer_(lowest_trained_layer) {
  CHECK(lowest_trained_layer >= 0 && lowest_trained_layer < config.layers)
      << lowest_trained_layer << " of " << config.layers;
  layers_.resize(config.layers + 1);
  for (int64_t layer = lowest_trained_layer; layer <= config.layers; ++layer) {
    layers_[layer] = ForwardTensors(config, dtype, layer);
  }
  if (lowest_trained_layer == 0) layers_[0].erase(layers_[0].begin());  // x
}

int64_t ActivationLayout::RecordBytes(int64_t rows, int64_t head_rows) const {
  int64_t bytes = 2 * layers() * rows * kv_width_ * BytesPerElement(dtype_);
  for (const std::vector<TensorSpec>& tensors : layers_) {
    for (const TensorSpec& spec : tensors) {
      bytes += (spec.head_rows_only ? head_rows : rows) * spec.width * BytesPerElement(spec.dtype);
    }
  }
  return bytes;
}

}  // namespace alchemist
