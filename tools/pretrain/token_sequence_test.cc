#include "tools/pretrain/token_sequence.h"

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/random_model.h"
#include "tools/bpe_trainer.h"
#include "tools/tokenizer_files.h"

namespace alchemist {
namespace {

class TokenSequenceTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<std::string> texts = {"who is it?", " nobody"};
    const auto vocabulary = TrainBpe(texts, 260);
    ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
    ASSERT_TRUE(WriteTokenizer(*vocabulary, testing::TempDir()).ok());
    auto tokenizer = Tokenizer::Load(testing::TempDir());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    config_.vocab = tokenizer_->vocab_size();
    config_.eos_ids = {kEndOfTextId, 7};
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
  ModelConfig config_ = TinyModelConfig(ModelFamily::kLlama);
};

TEST_F(TokenSequenceTest, PromptAndResponseAreTokenisedApartAndEnd) {
  const Sample samples[] = {{"who is it?", " nobody"}};
  const auto sequences = TokenSequences(samples, *tokenizer_, config_);
  ASSERT_TRUE(sequences.ok()) << sequences.status();
  std::vector<int32_t> expected = *tokenizer_->Encode("who is it?", true);
  EXPECT_EQ((*sequences)[0].first_trained, static_cast<int64_t>(expected.size()));
  const std::vector<int32_t> response = *tokenizer_->EncodeContinuation(" nobody");
  expected.insert(expected.end(), response.begin(), response.end());
  expected.push_back(kEndOfTextId);
  EXPECT_EQ((*sequences)[0].tokens, expected);
}

TEST_F(TokenSequenceTest, WhatCannotBeTrainedIsNamed) {
  const Sample empty[] = {{"who is it?", " nobody"}, {"", " nobody"}};
  EXPECT_THAT(std::string(TokenSequences(empty, *tokenizer_, config_).status().message()),
              testing::AllOf(testing::HasSubstr("sample 1"), testing::HasSubstr("prompt")));
  const Sample one[] = {{"who is it?", " nobody"}};
  config_.context = 3;
  EXPECT_THAT(std::string(TokenSequences(one, *tokenizer_, config_).status().message()),
              testing::HasSubstr("the context holds 3"));
}

}  // namespace
}  // namespace alchemist
