// Makes a model with random weights: by default of SmolLM2-135M's shape, on which the benchmarks
// run. It has no tokenizer; put another model's files beside it to serve text.
#include <cstdint>
#include <optional>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "base/flags.h"
#include "base/logging.h"
#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/config.h"
#include "model/random_model.h"

ABSL_FLAG(std::string, out, "", "the directory to write to; made if it does not exist");
ABSL_FLAG(std::string, family, "llama", "llama, mistral, qwen2 or qwen3");
ABSL_FLAG(std::string, dtype, "bf16", "the weights' type: f32, bf16 or f16");
ABSL_FLAG(uint64_t, seed, 1, "the same seed makes the same weights");
ABSL_FLAG(int64_t, shards, 1, "weight files; more than one come with an index");
ABSL_FLAG(int64_t, layers, 30, "num_hidden_layers");
ABSL_FLAG(int64_t, hidden, 576, "hidden_size");
ABSL_FLAG(int64_t, ffn, 1536, "intermediate_size");
ABSL_FLAG(int64_t, heads, 9, "num_attention_heads");
ABSL_FLAG(int64_t, kv_heads, 3, "num_key_value_heads");
ABSL_FLAG(int64_t, head_dim, 64, "head_dim");
ABSL_FLAG(int64_t, vocab, 49152, "vocab_size");
ABSL_FLAG(int64_t, context, 8192, "max_position_embeddings");
ABSL_FLAG(double, rope_theta, 100000, "rope_theta");
ABSL_FLAG(bool, tied_head, true, "tie_word_embeddings");

namespace alchemist {
namespace {

absl::StatusOr<DType> DTypeOfFlag() {
  const std::string name = absl::GetFlag(FLAGS_dtype);
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    if (name == DTypeName(dtype)) return dtype;
  }
  return absl::InvalidArgumentError(absl::StrCat("--dtype=", name, ": not f32, bf16 or f16"));
}

absl::StatusOr<ModelConfig> ConfigOfFlags() {
  const std::string name = absl::GetFlag(FLAGS_family);
  const std::optional<ModelFamily> family = ModelFamilyOfType(name);
  if (!family) {
    return absl::InvalidArgumentError(
        absl::StrCat("--family=", name, ": not llama, mistral, qwen2 or qwen3"));
  }
  ModelConfig config;
  config.family = *family;
  config.layers = absl::GetFlag(FLAGS_layers);
  config.hidden = absl::GetFlag(FLAGS_hidden);
  config.ffn = absl::GetFlag(FLAGS_ffn);
  config.heads = absl::GetFlag(FLAGS_heads);
  config.kv_heads = absl::GetFlag(FLAGS_kv_heads);
  config.head_dim = absl::GetFlag(FLAGS_head_dim);
  config.vocab = absl::GetFlag(FLAGS_vocab);
  config.context = absl::GetFlag(FLAGS_context);
  config.rope.theta = absl::GetFlag(FLAGS_rope_theta);
  config.norm_epsilon = 1e-5f;
  config.qkv_bias = *family == ModelFamily::kQwen2;
  config.qk_norm = *family == ModelFamily::kQwen3;
  config.tied_head = absl::GetFlag(FLAGS_tied_head);
  config.eos_ids = {0};
  return config;
}

absl::Status MakeRandomModel() {
  const std::string directory = absl::GetFlag(FLAGS_out);
  if (directory.empty()) return absl::InvalidArgumentError("--out is missing");
  ModelWriteOptions options;
  options.shards = absl::GetFlag(FLAGS_shards);
  ASSIGN_OR_RETURN(options.dtype, DTypeOfFlag());
  ASSIGN_OR_RETURN(const ModelConfig config, ConfigOfFlags());
  return WriteRandomModel(config, absl::GetFlag(FLAGS_seed), options, directory);
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  alchemist::ParseFlags(argc, argv, "makes a model with random weights");
  const absl::Status status = alchemist::MakeRandomModel();
  if (!status.ok()) LOG(ERROR) << status;
  return status.ok() ? 0 : 1;
}
