// LoraConfig: what an adapter acts on and how strongly. Plain value.
#ifndef ALCHEMIST_MODEL_LORA_CONFIG_H_
#define ALCHEMIST_MODEL_LORA_CONFIG_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/linear.h"

namespace alchemist {

inline constexpr int64_t kLoraRankMax = 1024;
inline constexpr double kLoraAlphaMax = 1e6;

struct LoraConfig {
  int64_t rank = 8;
  double alpha = 16;
  bool rslora = false;          // scale = alpha / sqrt(rank) instead of alpha / rank
  std::vector<Linear> targets;  // Ascending, without duplicates. Never head or embedding.
  int64_t lowest_layer = 0;     // Layers below have no adapter (PEFT: layers_to_transform).

  bool Targets(Linear linear) const;
  float Scale() const;
};

// InvalidArgument naming the field when a value is out of range or targets are not as they must be.
absl::Status CheckLoraConfig(const LoraConfig& config, const ModelConfig& model);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_LORA_CONFIG_H_
