// adapter_config.json of a PEFT directory, as LoraConfig. Pure functions over text; any thread.
#ifndef ALCHEMIST_MODEL_PEFT_CONFIG_H_
#define ALCHEMIST_MODEL_PEFT_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "model/config.h"
#include "model/lora_config.h"

namespace alchemist {

// `name` (a path) stands in the errors: InvalidArgument for a malformed field, Unimplemented for
// one that asks for what we do not do (other methods than LoRA, other targets than the linears of
// the layers, ranks that differ by module).
absl::StatusOr<LoraConfig> ParsePeftConfig(absl::string_view text, absl::string_view name,
                                           const ModelConfig& model);

// The text for an adapter of a model of `layers` layers.
std::string PeftConfigJson(const LoraConfig& config, int64_t layers,
                           const std::string& base_model_name);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_PEFT_CONFIG_H_
