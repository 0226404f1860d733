// Real tokenizers, read from $ALCHEMIST_DATA: GPT-2's with 47 vectors, and TinyStories-656K's.

#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "model/stream_decoder.h"
#include "model/tokenizer.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

constexpr int64_t kFileBytesMax = 4 << 20;

class TokenizerDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("ALCHEMIST_DATA");
    if (data == nullptr || *data == '\0') GTEST_SKIP() << "ALCHEMIST_DATA is not set";
    data_ = data;
  }

  std::string Read(absl::string_view path) const {
    const auto content = ReadFile(absl::StrCat(data_, "/", path), kFileBytesMax);
    EXPECT_TRUE(content.ok()) << content.status();
    return *content;
  }

  std::unique_ptr<const Tokenizer> Load(absl::string_view directory) const {
    auto tokenizer = Tokenizer::Load(absl::StrCat(data_, "/", directory));
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return *std::move(tokenizer);
  }

  std::string data_;
};

TEST_F(TokenizerDataTest, Gpt2MatchesAllVectorsAndDecodesThemBack) {
  const auto tokenizer = Load("tokenizers/gpt2");
  const std::string inputs = Read("tokenizers/gpt2/vectors.inp");
  const std::string outputs = Read("tokenizers/gpt2/vectors.out");
  const std::vector<std::string> texts = absl::StrSplit(inputs, "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines = absl::StrSplit(outputs, '\n');
  ASSERT_EQ(texts.size(), 47);
  ASSERT_EQ(lines.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = tokenizer->Encode(texts[i], /*add_special_tokens=*/true);
    ASSERT_TRUE(ids.ok()) << ids.status();
    std::string line;
    for (const int32_t id : *ids) absl::StrAppend(&line, " ", id);
    EXPECT_EQ(line, lines[i]) << texts[i];
    EXPECT_EQ(tokenizer->Decode(*ids, /*skip_special_tokens=*/true), texts[i]);
  }
}

TEST_F(TokenizerDataTest, Gpt2ComesBackFromPlainText) {
  const auto tokenizer = Load("tokenizers/gpt2");
  const std::string text = Read("text/tinyshakespeare.txt");
  const auto ids = tokenizer->Encode(text, /*add_special_tokens=*/true);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(tokenizer->Decode(*ids, /*skip_special_tokens=*/true), text);
}

TEST_F(TokenizerDataTest, Gpt2StreamsRandomIdsAsItDecodesThem) {
  const auto tokenizer = Load("tokenizers/gpt2");
  Random random(5);
  for (int run = 0; run < 300; ++run) {
    std::vector<int32_t> ids(random.Below(40));
    // The first 256 tokens are the bytes: half of the ids are taken from them.
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(random.Below(random.Below(2) == 0 ? 256 : tokenizer->vocab_size()));
    }
    StreamDecoder decoder(tokenizer.get());
    std::string text;
    for (const int32_t id : ids) {
      const std::string piece = decoder.Push(id);
      ASSERT_EQ(FindInvalidUtf8(piece), -1);
      text += piece;
    }
    text += decoder.Finish();
    ASSERT_EQ(text, tokenizer->Decode(ids, /*skip_special_tokens=*/true));
  }
}

TEST_F(TokenizerDataTest, TinyStoriesMatchesItsGolden) {
  const auto tokenizer = Load("models/tinystories-656K");
  EXPECT_EQ(tokenizer->vocab_size(), 2048);
  const auto golden = ParseJson(Read("models/tinystories-656K/golden.json"), "golden.json");
  ASSERT_TRUE(golden.ok()) << golden.status();
  const auto cases = JsonNode(&*golden, "golden.json:").Get("cases")->Array();
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_FALSE(cases->empty());
  for (const JsonNode& entry : *cases) {
    const std::vector<int32_t> ids = entry.value().at("ids").get<std::vector<int32_t>>();
    const std::vector<int32_t> prompt = entry.value().at("prompt_ids").get<std::vector<int32_t>>();
    const std::string text = entry.value().at("text").get<std::string>();
    EXPECT_EQ(tokenizer->Decode(ids, /*skip_special_tokens=*/true), text);
    const std::string prompt_text = entry.value().at("prompt").get<std::string>();
    const auto encoded = tokenizer->Encode(prompt_text, /*add_special_tokens=*/true);
    ASSERT_TRUE(encoded.ok()) << encoded.status();
    EXPECT_EQ(*encoded, prompt);
    // What follows it, streamed as a continuation, completes the text.
    StreamDecoder decoder(tokenizer.get(), {.continuation = true});
    std::string streamed = prompt_text;
    for (size_t i = prompt.size(); i < ids.size(); ++i) streamed += decoder.Push(ids[i]);
    EXPECT_EQ(streamed + decoder.Finish(), text);
  }
}

}  // namespace
}  // namespace alchemist
