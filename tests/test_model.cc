#include "tests/test_model.h"

#include "base/random.h"
#include "model/random_model.h"
#include "tools/bpe_trainer.h"
#include "tools/tokenizer_files.h"

namespace alchemist {
namespace {

constexpr int64_t kTokenizerTokens = 257;  // The end of text and the bytes: no merges.
constexpr uint64_t kWeightSeed = 11;

}  // namespace

absl::Status WriteTestModel(ModelFamily family, const std::string& directory, DType dtype,
                            int64_t context) {
  ModelConfig config = TinyModelConfig(family);
  config.vocab = kTestVocab;
  config.context = context;
  config.eos_ids = {kEndOfTextId};
  ModelWriteOptions options;
  options.dtype = dtype;
  RETURN_IF_ERROR(WriteRandomModel(config, kWeightSeed, options, directory));
  ASSIGN_OR_RETURN(const BpeVocabulary vocabulary, TrainBpe({}, kTokenizerTokens));
  return WriteTokenizer(vocabulary, directory);
}

std::vector<int32_t> TestPrompt(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(1 + random.Below(kTokenizerTokens - 1)));
  }
  return tokens;
}

}  // namespace alchemist
