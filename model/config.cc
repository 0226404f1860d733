#include "model/config.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/logging.h"
#include "model/rope_fields.h"
#include "model/unsupported_fields.h"

namespace alchemist {
namespace {

constexpr int64_t kConfigBytesMax = 1 << 20;

// Bounds of the sizes. They admit every model known to us, and no product of two of them, in bytes
// and times the layers, comes near 2^63: the code after this needs no further overflow checks.
constexpr int64_t kLayersMax = 1 << 10;
constexpr int64_t kHiddenMax = 1 << 17;
constexpr int64_t kFfnMax = 1 << 20;
constexpr int64_t kHeadsMax = 1 << 10;
constexpr int64_t kHeadDimMax = 1 << 10;
constexpr int64_t kHeadDimMultiple = 8;  // As kernels/attention.h asks.
constexpr int64_t kVocabMax = 1 << 22;
constexpr int64_t kContextMax = 1 << 20;
constexpr int64_t kEosIdsMax = 64;

struct FamilyNames {
  ModelFamily family;
  const char* model_type;
  const char* architecture;
};
constexpr FamilyNames kFamilies[] = {
    {ModelFamily::kLlama, "llama", "LlamaForCausalLM"},
    {ModelFamily::kMistral, "mistral", "MistralForCausalLM"},
    {ModelFamily::kQwen2, "qwen2", "Qwen2ForCausalLM"},
    {ModelFamily::kQwen3, "qwen3", "Qwen3ForCausalLM"},
};

const FamilyNames& Names(ModelFamily family) {
  const auto* names = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                   [&](const FamilyNames& f) { return f.family == family; });
  CHECK(names != std::end(kFamilies));
  return *names;
}

absl::StatusOr<ModelFamily> ReadFamily(const JsonNode& json) {
  ASSIGN_OR_RETURN(const JsonNode field, json.Get("architectures"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> architectures, field.Array());
  if (architectures.size() != 1) return field.Invalid("must name one architecture");
  ASSIGN_OR_RETURN(const std::string name, architectures[0].String());
  for (const FamilyNames& family : kFamilies) {
    if (name == family.architecture) return family.family;
  }
  return architectures[0].Unsupported(
      absl::StrCat("is \"", name,
                   "\"; supported are LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and "
                   "Qwen3ForCausalLM"));
}

absl::StatusOr<int64_t> ReadSize(const JsonNode& json, absl::string_view key, int64_t max) {
  ASSIGN_OR_RETURN(const JsonNode field, json.Get(key));
  return field.Integer(1, max);
}

absl::Status ReadHeads(const JsonNode& json, ModelConfig& config) {
  ASSIGN_OR_RETURN(config.heads, ReadSize(json, "num_attention_heads", kHeadsMax));
  // Left out, every head of a Llama has its own K/V; the other families' own defaults depend on no
  // other field, so that leaving it out is more likely a mistake.
  if (config.family == ModelFamily::kLlama) {
    ASSIGN_OR_RETURN(config.kv_heads,
                     json.IntegerOr("num_key_value_heads", config.heads, 1, kHeadsMax));
  } else {
    ASSIGN_OR_RETURN(config.kv_heads, ReadSize(json, "num_key_value_heads", kHeadsMax));
  }
  if (config.heads % config.kv_heads != 0) {
    return json.Invalid(absl::StrCat("num_attention_heads (", config.heads,
                                     ") is no multiple of num_key_value_heads (", config.kv_heads,
                                     ")"));
  }
  // Qwen3's default is HF's constant; the others divide the hidden size.
  const bool constant_default = config.family == ModelFamily::kQwen3;
  if (!json.Find("head_dim") && !constant_default && config.hidden % config.heads != 0) {
    return json.Invalid(absl::StrCat("hidden_size (", config.hidden,
                                     ") is no multiple of num_attention_heads (", config.heads,
                                     ") and there is no head_dim"));
  }
  const int64_t otherwise = constant_default ? 128 : config.hidden / config.heads;
  ASSIGN_OR_RETURN(config.head_dim, json.IntegerOr("head_dim", otherwise, 1, kHeadDimMax));
  if (config.head_dim > kHeadDimMax) {
    return json.Invalid(absl::StrCat("head_dim (", config.head_dim, ") is above ", kHeadDimMax));
  }
  if (config.head_dim % kHeadDimMultiple != 0) {
    return json.Unsupported(absl::StrCat("head_dim (", config.head_dim, ") is no multiple of ",
                                         kHeadDimMultiple, ", which is not supported"));
  }
  return absl::OkStatus();
}

absl::Status ReadSizes(const JsonNode& json, ModelConfig& config) {
  ASSIGN_OR_RETURN(config.layers, ReadSize(json, "num_hidden_layers", kLayersMax));
  ASSIGN_OR_RETURN(config.hidden, ReadSize(json, "hidden_size", kHiddenMax));
  ASSIGN_OR_RETURN(config.ffn, ReadSize(json, "intermediate_size", kFfnMax));
  ASSIGN_OR_RETURN(config.vocab, ReadSize(json, "vocab_size", kVocabMax));
  ASSIGN_OR_RETURN(config.context, ReadSize(json, "max_position_embeddings", kContextMax));
  return ReadHeads(json, config);
}

// eos_token_id is a number, a list, null, or not there (no ids).
absl::StatusOr<std::vector<int32_t>> ReadEosIds(const JsonNode& json, int64_t vocab) {
  const std::optional<JsonNode> field = json.Find("eos_token_id");
  if (!field) return std::vector<int32_t>();
  std::vector<JsonNode> ids = {*field};
  if (field->value().is_array()) {
    ASSIGN_OR_RETURN(ids, field->Array());
  }
  if (static_cast<int64_t>(ids.size()) > kEosIdsMax) {
    return field->Invalid(absl::StrCat("lists more than ", kEosIdsMax, " ids"));
  }
  std::vector<int32_t> eos_ids;
  for (const JsonNode& id : ids) {
    ASSIGN_OR_RETURN(const int64_t value, id.Integer(0, vocab - 1));
    eos_ids.push_back(static_cast<int32_t>(value));
  }
  return eos_ids;
}

absl::StatusOr<ModelConfig> ReadConfig(const JsonNode& json) {
  RETURN_IF_ERROR(json.ExpectObject());
  ModelConfig config;
  ASSIGN_OR_RETURN(config.family, ReadFamily(json));
  RETURN_IF_ERROR(ReadSizes(json, config));
  ASSIGN_OR_RETURN(const std::string activation, json.StringOr("hidden_act", "silu"));
  if (activation != "silu") {
    return json.Unsupported(absl::StrCat("hidden_act is \"", activation, "\"; supported is silu"));
  }
  ASSIGN_OR_RETURN(const double epsilon, json.NumberOr("rms_norm_eps", 1e-6, 1e-12, 1));
  config.norm_epsilon = static_cast<float>(epsilon);
  ASSIGN_OR_RETURN(config.rope, ReadRopeFields(json));
  ASSIGN_OR_RETURN(config.tied_head, json.BoolOr("tie_word_embeddings", false));
  config.qkv_bias = config.family == ModelFamily::kQwen2;
  config.qk_norm = config.family == ModelFamily::kQwen3;
  RETURN_IF_ERROR(CheckUnsupportedFields(json, config));
  ASSIGN_OR_RETURN(config.eos_ids, ReadEosIds(json, config.vocab));
  return config;
}

}  // namespace

const char* ModelTypeName(ModelFamily family) { return Names(family).model_type; }
const char* ArchitectureName(ModelFamily family) { return Names(family).architecture; }

std::optional<ModelFamily> ModelFamilyOfType(absl::string_view model_type) {
  for (const FamilyNames& family : kFamilies) {
    if (model_type == family.model_type) return family.family;
  }
  return std::nullopt;
}

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text, absl::string_view name) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(text, name));
  return ReadConfig(JsonNode(&document, absl::StrCat(name, ":")));
}

absl::Status ParseGenerationConfig(absl::string_view text, absl::string_view name,
                                   ModelConfig& config) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(text, name));
  const JsonNode node(&document, absl::StrCat(name, ":"));
  RETURN_IF_ERROR(node.ExpectObject());
  ASSIGN_OR_RETURN(std::vector<int32_t> eos_ids, ReadEosIds(node, config.vocab));
  if (!eos_ids.empty()) config.eos_ids = std::move(eos_ids);
  return absl::OkStatus();
}

absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/config.json");
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kConfigBytesMax));
  ASSIGN_OR_RETURN(ModelConfig config, ParseModelConfig(text, path));

  const std::string generation_path = absl::StrCat(directory, "/generation_config.json");
  const absl::StatusOr<std::string> generation_text = ReadFile(generation_path, kConfigBytesMax);
  if (absl::IsNotFound(generation_text.status())) return config;
  RETURN_IF_ERROR(generation_text.status());
  RETURN_IF_ERROR(ParseGenerationConfig(*generation_text, generation_path, config));
  return config;
}

}  // namespace alchemist
