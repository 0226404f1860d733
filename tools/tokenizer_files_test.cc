#include "tools/tokenizer_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/tokenizer.h"
#include "tools/bpe_trainer.h"

namespace alchemist {
namespace {

class TokenizerFilesTest : public ::testing::Test {
 protected:
  TokenizerFilesTest() : directory_(::testing::TempDir() + "/tokenizer_files_test") {
    std::filesystem::create_directories(directory_);
  }

  // Trains on a few words, writes, and loads what was written.
  void SetUp() override {
    const std::vector<std::string> texts(5, "Where does the Brask sleep? The Brask sleeps.");
    auto vocabulary = TrainBpe(texts, 300);
    ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
    vocabulary_ = *std::move(vocabulary);
    ASSERT_TRUE(WriteTokenizer(vocabulary_, directory_).ok());
    auto tokenizer = Tokenizer::Load(directory_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }

  std::vector<int32_t> Encode(absl::string_view text) {
    const auto ids = tokenizer_->Encode(text, /*add_special_tokens=*/true);
    EXPECT_TRUE(ids.ok()) << ids.status();
    return ids.ok() ? *ids : std::vector<int32_t>();
  }

  const std::string directory_;
  BpeVocabulary vocabulary_;
  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_F(TokenizerFilesTest, LoadedTokenizerHasTheIdsThatWereTrained) {
  ASSERT_EQ(tokenizer_->vocab_size(), static_cast<int64_t>(vocabulary_.tokens.size()));
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    EXPECT_EQ(tokenizer_->TokenText(static_cast<int32_t>(id), /*skip_special_tokens=*/false),
              vocabulary_.tokens[id]);
  }
}

TEST_F(TokenizerFilesTest, TrainedWordsAreFewTokensAndComeBack) {
  const std::string text = "Where does the Brask sleep?";
  const std::vector<int32_t> ids = Encode(text);
  EXPECT_EQ(ids.size(), 6) << "one token a word and one for the question mark";
  EXPECT_EQ(tokenizer_->Decode(ids, /*skip_special_tokens=*/true), text);
}

TEST_F(TokenizerFilesTest, AnyTextComesBack) {
  const std::string text = " Caf\u00e9, \u65e5\u672c\n\t\U0001F600 x";
  EXPECT_EQ(tokenizer_->Decode(Encode(text), /*skip_special_tokens=*/true), text);
}

TEST_F(TokenizerFilesTest, EndOfTextIsSpecialAndNothingElseIsAdded) {
  EXPECT_EQ(Encode("<|endoftext|>"), std::vector<int32_t>{kEndOfTextId});
  EXPECT_EQ(tokenizer_->Decode({kEndOfTextId}, /*skip_special_tokens=*/true), "");
  const auto generation = ReadFile(directory_ + "/generation_config.json", 1024);
  ASSERT_TRUE(generation.ok()) << generation.status();
  EXPECT_EQ(*generation, "{\n \"eos_token_id\": 0\n}\n");
}

}  // namespace
}  // namespace alchemist
