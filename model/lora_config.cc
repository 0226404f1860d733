#include "model/lora_config.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"

namespace alchemist {

bool LoraConfig::Targets(Linear linear) const {
  return std::find(targets.begin(), targets.end(), linear) != targets.end();
}

float LoraConfig::Scale() const {
  const double divisor = rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank);
  return static_cast<float>(alpha / divisor);
}

absl::Status CheckLoraConfig(const LoraConfig& config, const ModelConfig& model) {
  if (config.rank < 1 || config.rank > kLoraRankMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("LoRA rank ", config.rank, " is not between 1 and ", kLoraRankMax));
  }
  if (!(config.alpha > 0 && config.alpha <= kLoraAlphaMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat("LoRA alpha ", config.alpha, " is not above 0 and at most ", kLoraAlphaMax));
  }
  if (config.targets.empty()) return absl::InvalidArgumentError("LoRA has no targets");
  // Strictly ascending: each element is less than the next.
  if (std::adjacent_find(config.targets.begin(), config.targets.end(),
                         std::greater_equal<Linear>()) != config.targets.end()) {
    return absl::InvalidArgumentError("LoRA targets are not ascending or stand twice");
  }
  if (config.lowest_layer < 0 || config.lowest_layer >= model.layers) {
    return absl::InvalidArgumentError(absl::StrCat("LoRA's lowest layer ", config.lowest_layer,
                                                   " is not one of the model's ", model.layers));
  }
  return absl::OkStatus();
}

}  // namespace alchemist
