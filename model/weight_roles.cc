#include "model/weight_roles.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/linear.h"

namespace alchemist {
namespace {

class RoleList {
 public:
  explicit RoleList(const ModelConfig& config) : config_(config) {}

  void AddVector(std::string name, int64_t width, ConstTensorView& view) {
    roles_.push_back({std::move(name), {width}, &view});
  }
  void AddMatrix(std::string name, int64_t rows, int64_t width, ConstTensorView& view) {
    roles_.push_back({std::move(name), {rows, width}, &view});
  }
  void AddLinear(absl::string_view prefix, Linear linear, WeightView& weight) {
    const MatmulShape shape = LinearShape(config_, linear);
    const std::string path = absl::StrCat(prefix, LinearModule(linear));
    AddMatrix(path + ".weight", shape.out, shape.in, weight.values);
    if (config_.qkv_bias && linear <= Linear::kV) AddVector(path + ".bias", shape.out, weight.bias);
  }
  void AddLayer(const std::string& prefix, LayerWeights& layer) {
    AddVector(prefix + "input_layernorm.weight", config_.hidden, layer.input_norm);
    AddLinear(prefix, Linear::kQ, layer.q);
    AddLinear(prefix, Linear::kK, layer.k);
    AddLinear(prefix, Linear::kV, layer.v);
    AddLinear(prefix, Linear::kO, layer.o);
    if (config_.qk_norm) {
      AddVector(prefix + "self_attn.q_norm.weight", config_.head_dim, layer.q_norm);
      AddVector(prefix + "self_attn.k_norm.weight", config_.head_dim, layer.k_norm);
    }
    AddVector(prefix + "post_attention_layernorm.weight", config_.hidden, layer.ffn_norm);
    AddLinear(prefix, Linear::kGate, layer.gate);
    AddLinear(prefix, Linear::kUp, layer.up);
    AddLinear(prefix, Linear::kDown, layer.down);
  }
  std::vector<WeightRole> Take() { return std::move(roles_); }

 private:
  const ModelConfig& config_;
  std::vector<WeightRole> roles_;
};

}  // namespace

std::vector<WeightRole> WeightRoles(const ModelConfig& config, ModelWeights& weights) {
  weights.layers.resize(config.layers);
  RoleList list(config);
  list.AddMatrix(kEmbeddingName, config.vocab, config.hidden, weights.embedding);
  for (int64_t i = 0; i < config.layers; ++i) {
    list.AddLayer(absl::StrCat("model.layers.", i, "."), weights.layers[i]);
  }
  list.AddVector("model.norm.weight", config.hidden, weights.final_norm);
  if (!config.tied_head) {
    list.AddMatrix(kHeadName, config.vocab, config.hidden, weights.head.values);
  }
  return list.Take();
}

}  // namespace alchemist
