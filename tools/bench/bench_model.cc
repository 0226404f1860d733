#include "tools/bench/bench_model.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "model/random_model.h"
#include "tools/bpe_trainer.h"
#include "tools/tokenizer_files.h"

namespace alchemist {
namespace {

constexpr uint64_t kWeightSeed = 1;
constexpr int64_t kTokenizerTokens = 257;  // The end of text and the bytes: no merges.
constexpr int64_t kConfigBytesMax = 1 << 20;

ModelConfig SmolLm2Shape() {
  ModelConfig config;
  config.layers = 30;
  config.hidden = 576;
  config.ffn = 1536;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.vocab = 49152;
  config.context = 8192;
  config.norm_epsilon = 1e-5f;
  config.rope.theta = 100000;
  config.tied_head = true;
  return config;
}

absl::Status WriteAll(const ModelConfig& config, DType dtype, const std::string& directory) {
  ModelWriteOptions options;
  options.dtype = dtype;
  RETURN_IF_ERROR(WriteRandomModel(config, kWeightSeed, options, directory));
  ASSIGN_OR_RETURN(const BpeVocabulary vocabulary, TrainBpe({}, kTokenizerTokens));
  RETURN_IF_ERROR(WriteTokenizer(vocabulary, directory));
  // It names an end of text, which would end answers early; config.json names none.
  std::error_code error;
  std::filesystem::remove(absl::StrCat(directory, "/generation_config.json"), error);
  if (error) return absl::InternalError(absl::StrCat(directory, ": ", error.message()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> BenchShape(const std::string& name) {
  if (name == "135m") return SmolLm2Shape();
  if (name != "tiny") {
    return absl::InvalidArgumentError(absl::StrCat("--shape=", name, ": not 135m or tiny"));
  }
  ModelConfig config = TinyModelConfig(ModelFamily::kLlama);
  config.vocab = kTokenizerTokens;
  config.context = SmolLm2Shape().context;
  config.eos_ids.clear();
  return config;
}

absl::Status MakeBenchModel(const ModelConfig& config, DType dtype, const std::string& directory) {
  const std::string config_file = absl::StrCat(directory, "/config.json");
  if (std::filesystem::exists(config_file)) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(config_file, kConfigBytesMax));
    if (text == ModelConfigJson(config, dtype)) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": holds another model than the one asked for"));
  }
  // Aside, so that one that was interrupted is never taken for a whole one.
  const std::string aside = absl::StrCat(directory, ".making");
  std::error_code error;
  std::filesystem::remove_all(aside, error);
  RETURN_IF_ERROR(WriteAll(config, dtype, aside));
  std::filesystem::rename(aside, directory, error);
  if (error) return absl::InternalError(absl::StrCat(directory, ": ", error.message()));
  return absl::OkStatus();
}

}  // namespace alchemist
