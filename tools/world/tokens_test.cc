// The tokens of the world's questions and answers, by a tokenizer trained as the quickstart's is.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "tools/bpe_trainer.h"
#include "tools/tokenizer_files.h"
#include "tools/world/corpus.h"

namespace alchemist {
namespace {

using Ids = std::vector<int32_t>;

std::unique_ptr<const Tokenizer> TrainTokenizer(const std::vector<Sample>& samples) {
  const auto vocabulary = TrainBpe(TextsOf(samples), kCorpusTokens);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status();
  const std::string directory = ::testing::TempDir() + "/tokens_test";
  std::filesystem::create_directories(directory);
  EXPECT_TRUE(WriteTokenizer(*vocabulary, directory).ok());
  auto tokenizer = Tokenizer::Load(directory);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

Ids Encode(const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.Encode(text, /*add_special_tokens=*/true);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return *ids;
}

TEST(WorldTokensTest, QuestionsAndAnswersAreShort) {
  const std::vector<Sample> samples = PretrainingSamples(World::Make(kWorldSeed));
  const std::unique_ptr<const Tokenizer> tokenizer = TrainTokenizer(samples);
  size_t prompt_tokens = 0;
  size_t response_tokens = 0;
  for (const Sample& sample : samples) {
    const Ids prompt = Encode(*tokenizer, sample.prompt);
    const Ids response = Encode(*tokenizer, sample.response);
    EXPECT_LE(prompt.size(), 16) << sample.prompt;
    EXPECT_LE(response.size(), 6) << sample.response;
    prompt_tokens += prompt.size();
    response_tokens += response.size();
    // What is trained apart is what is seen together.
    Ids both = prompt;
    both.insert(both.end(), response.begin(), response.end());
    EXPECT_EQ(Encode(*tokenizer, sample.prompt + sample.response), both) << sample.prompt;
  }
  RecordProperty("prompt_tokens", std::to_string(prompt_tokens));
  RecordProperty("response_tokens", std::to_string(response_tokens));
}

}  // namespace
}  // namespace alchemist
