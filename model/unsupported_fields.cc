#include "model/unsupported_fields.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

// Must be absent, null, false, zero or empty.
constexpr const char* kMustBeOff[] = {
    "attention_chunk_size",
    "attention_multiplier",
    "attn_logit_softcapping",
    "attn_temperature_tuning",
    "clip_qkv",
    "compression_config",
    "final_logit_softcapping",
    "mlp_bias",
    "n_routed_experts",
    "no_rope_layers",
    "num_experts",
    "num_local_experts",
    "qk_layernorm",
    "quantization_config",
    "query_pre_attn_scalar",
    "use_qk_norm",
};

// Must be absent, null or 1.
constexpr const char* kMustBeOne[] = {
    "embedding_multiplier",  "logit_scale",         "logits_scaling",
    "partial_rotary_factor", "residual_multiplier", "rotary_pct",
};

// HF's layer kinds of newer files; we compute full attention in every layer.
absl::Status CheckLayerTypes(const JsonNode& json) {
  const std::optional<JsonNode> layer_types = json.Find("layer_types");
  if (!layer_types) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<JsonNode> layers, layer_types->Array());
  for (const JsonNode& layer : layers) {
    ASSIGN_OR_RETURN(const std::string type, layer.String());
    if (type != "full_attention") {
      return layer.Unsupported(absl::StrCat("is \"", type, "\"; supported is full_attention"));
    }
  }
  return absl::OkStatus();
}

// A window that is no shorter than the context never hides a token. The defaults are those of HF's
// configuration classes, which apply when the field is not written; null switches the window off.
absl::Status CheckSlidingWindow(const JsonNode& json, const ModelConfig& config) {
  constexpr int64_t kWindowMax = int64_t{1} << 40;
  if (config.family == ModelFamily::kQwen2 || config.family == ModelFamily::kQwen3) {
    ASSIGN_OR_RETURN(const bool used, json.BoolOr("use_sliding_window", false));
    ASSIGN_OR_RETURN(const int64_t full_layers,
                     json.IntegerOr("max_window_layers", 28, 0, int64_t{1} << 30));
    if (!used || full_layers >= config.layers) return absl::OkStatus();
  }
  const bool written = json.value().contains("sliding_window");
  if (!written && config.family == ModelFamily::kLlama) return absl::OkStatus();
  const int64_t otherwise = written ? kWindowMax : 4096;
  ASSIGN_OR_RETURN(const int64_t window,
                   json.IntegerOr("sliding_window", otherwise, 1, kWindowMax));
  if (window >= config.context) return absl::OkStatus();
  return json.Unsupported(absl::StrCat("sliding_window (", window,
                                       ") is shorter than max_position_embeddings (",
                                       config.context, "), which is not supported"));
}

}  // namespace

absl::Status CheckUnsupportedFields(const JsonNode& json, const ModelConfig& config) {
  for (const char* key : kMustBeOff) {
    const std::optional<JsonNode> field = json.Find(key);
    if (field && !field->IsOff()) return field->Unsupported("is not supported");
  }
  for (const char* key : kMustBeOne) {
    const std::optional<JsonNode> field = json.Find(key);
    if (field && field->value() != 1) return field->Unsupported("is supported as 1 only");
  }
  // Qwen2 has its biases whatever this field says; elsewhere it would add one to o_proj as well.
  const std::optional<JsonNode> bias = json.Find("attention_bias");
  if (bias && config.family != ModelFamily::kQwen2 && !bias->IsOff()) {
    return bias->Unsupported("is not supported");
  }
  RETURN_IF_ERROR(CheckLayerTypes(json));
  return CheckSlidingWindow(json, config);
}

}  // namespace alchemist
