#include "model/peft_config.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json.h"

namespace alchemist {
namespace {

// Fields that change what the adapter computes, which we do only when they are off. Others say how
// it was trained (dropout), or what it was trained on.
constexpr const char* kMustBeOff[] = {
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "exclude_modules",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "trainable_token_indices",
    "target_parameters",
    "use_bdlora",
    "use_dora",
    "use_qalora",
};

// Ways to start an adapter that leave the base's weights alone. PiSSA, OLoRA, CorDA and LoftQ
// change them, so that their adapters mean something else on the base model as it is.
constexpr const char* kKnownInits[] = {"gaussian", "orthogonal", "eva"};

absl::Status ExpectString(const JsonNode& json, absl::string_view key, absl::string_view expected,
                          absl::string_view otherwise) {
  ASSIGN_OR_RETURN(const std::string value, json.StringOr(key, otherwise));
  if (value == expected) return absl::OkStatus();
  return json.Unsupported(
      absl::StrCat(key, " is \"", value, "\"; supported is \"", expected, "\""));
}

absl::Status CheckInit(const JsonNode& json) {
  const std::optional<JsonNode> field = json.Find("init_lora_weights");
  if (!field || field->value().is_boolean()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string init, field->String());
  for (const char* known : kKnownInits) {
    if (init == known) return absl::OkStatus();
  }
  return field->Unsupported(absl::StrCat("is \"", init, "\", which changes the base's weights"));
}

absl::Status CheckLayersPattern(const JsonNode& json) {
  const std::optional<JsonNode> field = json.Find("layers_pattern");
  if (!field || field->IsOff() || field->value() == "layers") return absl::OkStatus();
  if (field->value() == nlohmann::json::array({"layers"})) return absl::OkStatus();
  return field->Unsupported("is supported as \"layers\" only");
}

absl::StatusOr<Linear> ReadTarget(const JsonNode& node) {
  ASSIGN_OR_RETURN(const std::string name, node.String());
  for (const Linear linear : kLinears) {
    if (name == LinearName(linear)) return linear;
  }
  return node.Unsupported(absl::StrCat(
      "is \"", name,
      "\"; supported are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and down_proj"));
}

// A list of names, one name, or "all-linear". PEFT takes any other text for a pattern.
absl::StatusOr<std::vector<Linear>> ReadTargets(const JsonNode& json) {
  ASSIGN_OR_RETURN(const JsonNode field, json.Get("target_modules"));
  if (field.value() == "all-linear") return std::vector<Linear>(kLinears.begin(), kLinears.end());
  std::vector<JsonNode> names = {field};
  if (field.value().is_array()) {
    ASSIGN_OR_RETURN(names, field.Array());
  }
  std::vector<Linear> targets;
  for (const JsonNode& name : names) {
    ASSIGN_OR_RETURN(const Linear target, ReadTarget(name));
    targets.push_back(target);
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  if (targets.empty()) return field.Invalid("names no modules");
  return targets;
}

// layers_to_transform: absent, one layer, or a list. We do the layers from some layer up.
absl::StatusOr<int64_t> ReadLowestLayer(const JsonNode& json, int64_t layers) {
  const std::optional<JsonNode> field = json.Find("layers_to_transform");
  if (!field) return 0;
  std::vector<JsonNode> nodes = {*field};
  if (field->value().is_array()) {
    ASSIGN_OR_RETURN(nodes, field->Array());
  }
  std::vector<int64_t> indices;
  for (const JsonNode& node : nodes) {
    ASSIGN_OR_RETURN(const int64_t layer, node.Integer(0, layers - 1));
    indices.push_back(layer);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  // Distinct layers, the last of them the model's last: as many as there are from the first one up.
  if (indices.empty() || layers - indices.front() != static_cast<int64_t>(indices.size())) {
    return field->Unsupported("is supported as all layers from one of them up to the last only");
  }
  return indices.front();
}

}  // namespace

absl::StatusOr<LoraConfig> ParsePeftConfig(absl::string_view text, absl::string_view name,
                                           const ModelConfig& model) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(text, name));
  const JsonNode json(&document, absl::StrCat(name, ":"));
  RETURN_IF_ERROR(json.ExpectObject());
  RETURN_IF_ERROR(ExpectString(json, "peft_type", "LORA", ""));
  RETURN_IF_ERROR(ExpectString(json, "task_type", "CAUSAL_LM", "CAUSAL_LM"));
  RETURN_IF_ERROR(ExpectString(json, "bias", "none", "none"));
  for (const char* key : kMustBeOff) {
    const std::optional<JsonNode> field = json.Find(key);
    if (field && !field->IsOff()) return field->Unsupported("is not supported");
  }
  RETURN_IF_ERROR(CheckInit(json));
  RETURN_IF_ERROR(CheckLayersPattern(json));
  LoraConfig config;
  ASSIGN_OR_RETURN(const JsonNode rank, json.Get("r"));
  ASSIGN_OR_RETURN(config.rank, rank.Integer(1, kLoraRankMax));
  ASSIGN_OR_RETURN(const JsonNode alpha, json.Get("lora_alpha"));
  ASSIGN_OR_RETURN(config.alpha, alpha.Number(1e-6, kLoraAlphaMax));
  ASSIGN_OR_RETURN(config.rslora, json.BoolOr("use_rslora", false));
  ASSIGN_OR_RETURN(config.targets, ReadTargets(json));
  ASSIGN_OR_RETURN(config.lowest_layer, ReadLowestLayer(json, model.layers));
  RETURN_IF_ERROR(CheckLoraConfig(config, model));
  return config;
}

std::string PeftConfigJson(const LoraConfig& config, int64_t layers,
                           const std::string& base_model_name) {
  nlohmann::json targets = nlohmann::json::array();
  for (const Linear target : config.targets) targets.push_back(LinearName(target));
  nlohmann::json transformed;  // Null: all layers.
  if (config.lowest_layer > 0) {
    for (int64_t i = config.lowest_layer; i < layers; ++i) transformed.push_back(i);
  }
  nlohmann::json alpha = config.alpha;
  if (config.alpha == std::floor(config.alpha)) alpha = static_cast<int64_t>(config.alpha);
  const nlohmann::json json = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base_model_name},
      {"r", config.rank},
      {"lora_alpha", alpha},
      {"use_rslora", config.rslora},
      {"target_modules", targets},
      {"layers_to_transform", transformed},
      {"lora_dropout", 0.0},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", true},
      {"inference_mode", true},
  };
  // A path need not be UTF-8; JSON must be.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace alchemist
