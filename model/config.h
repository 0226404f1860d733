// ModelConfig: what config.json and generation_config.json of a Hugging Face directory say about a
// model. Plain value. Fields that would change the computation and are not supported are errors.
#ifndef ALCHEMIST_MODEL_CONFIG_H_
#define ALCHEMIST_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "kernels/rope.h"

namespace alchemist {

enum class ModelFamily { kLlama, kMistral, kQwen2, kQwen3 };
const char* ModelTypeName(ModelFamily family);     // "llama": config.json's model_type.
const char* ArchitectureName(ModelFamily family);  // "LlamaForCausalLM"
std::optional<ModelFamily> ModelFamilyOfType(absl::string_view model_type);

struct ModelConfig {
  ModelFamily family = ModelFamily::kLlama;
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t ffn = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab = 0;
  int64_t context = 0;  // max_position_embeddings
  float norm_epsilon = 1e-6f;
  RopeConfig rope;
  bool qkv_bias = false;         // Qwen2.
  bool qk_norm = false;          // Qwen3: RMS norm of each head of q and k before rope.
  bool tied_head = false;        // tie_word_embeddings
  std::vector<int32_t> eos_ids;  // generation_config.json's, else config.json's.

  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

// The config that a config.json's text describes; `name` stands in the errors, which name the
// field: InvalidArgument for a malformed one, Unimplemented for one that asks for what we do not
// do.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text, absl::string_view name);

// What a generation_config.json's text adds to `config`: its eos_token_id counts, where it has one.
// Errors likewise.
absl::Status ParseGenerationConfig(absl::string_view text, absl::string_view name,
                                   ModelConfig& config);

// Reads <directory>/config.json and, where it exists, generation_config.json.
absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& directory);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_CONFIG_H_
