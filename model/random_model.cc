#include "model/random_model.h"

#include <cmath>
#include <vector>

#include "absl/strings/match.h"
#include "base/random.h"
#include "model/weight_roles.h"

namespace alchemist {
namespace {

// Draws one tensor. Linears and embedding: variance 1 / width, which keeps the size of activations.
// Norms: about 1. Biases: small.
void Draw(const WeightRole& role, Random& random, float* values) {
  const bool norm = absl::EndsWith(role.name, "norm.weight");
  const double center = norm ? 1.0 : 0.0;
  const double deviation =
      role.shape.size() == 1 ? 0.1 : 1.0 / std::sqrt(static_cast<double>(role.width()));
  for (int64_t i = 0; i < role.rows() * role.width(); ++i) {
    values[i] = static_cast<float>(center + deviation * random.Normal());
  }
}

}  // namespace

ModelConfig TinyModelConfig(ModelFamily family) {
  ModelConfig config;
  config.family = family;
  config.layers = 3;
  config.hidden = 40;
  config.ffn = 56;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = family == ModelFamily::kQwen3 ? 16 : 8;
  config.vocab = 96;
  config.context = 512;
  config.qkv_bias = family == ModelFamily::kQwen2;
  config.qk_norm = family == ModelFamily::kQwen3;
  config.tied_head = family == ModelFamily::kLlama || family == ModelFamily::kQwen3;
  config.eos_ids = {2};
  return config;
}

absl::Status WriteRandomModel(const ModelConfig& config, uint64_t seed,
                              const ModelWriteOptions& options, const std::string& directory) {
  RETURN_IF_ERROR(
      ParseModelConfig(ModelConfigJson(config, options.dtype), "random model").status());
  ModelWeights weights;
  const std::vector<WeightRole> roles = WeightRoles(config, weights);
  int64_t elements = 0;
  for (const WeightRole& role : roles) elements += role.rows() * role.width();
  std::vector<float> values(elements);
  Random random(seed);
  float* next = values.data();
  for (const WeightRole& role : roles) {
    Draw(role, random, next);
    *role.view = {next, role.rows(), role.width(), DType::kF32};
    next += role.rows() * role.width();
  }
  return WriteModel(config, weights, options, directory);
}

}  // namespace alchemist
