#include "model/stream_decoder.h"

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/random.h"
#include "model/tokenizer/example_tokenizers.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

std::unique_ptr<const Tokenizer> Parse(absl::string_view json) {
  auto tokenizer = Tokenizer::Parse(json, "t.json");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::vector<std::string> Pieces(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                                DecodeOptions options) {
  StreamDecoder decoder(&tokenizer, options);
  std::vector<std::string> pieces;
  for (const int32_t id : ids) pieces.push_back(decoder.Push(id));
  pieces.push_back(decoder.Finish());
  return pieces;
}

using Strings = std::vector<std::string>;

TEST(StreamDecoderTest, ACharacterIsReturnedWithItsLastByte) {
  const auto llama2 = Parse(kLlama2Style);
  EXPECT_EQ(Pieces(*llama2, {22, 10, 4, 5, 3, 6, 7, 8, 9}, {}),
            (Strings{"hello", " ", "", "é", "\n", "", "", "", "🦙", ""}));
  const auto llama3 = Parse(kLlama3Style);
  EXPECT_EQ(Pieces(*llama3, {34, 21, 30, 18, 19}, {}), (Strings{"", " a", "", "", "🦙", ""}));
}

TEST(StreamDecoderTest, FinishReplacesTheBytesOfACharacterThatWasNotFinished) {
  EXPECT_EQ(Pieces(*Parse(kLlama2Style), {22, 6, 7}, {}), (Strings{"hello", "", "", "��"}));
  EXPECT_EQ(Pieces(*Parse(kLlama3Style), {20, 30}, {}), (Strings{"ab", "", "�"}));
}

TEST(StreamDecoderTest, ABrokenCharacterDoesNotHoldBackWhatFollows) {
  EXPECT_EQ(Pieces(*Parse(kLlama2Style), {6, 7, 3, 22}, {}),
            (Strings{"", "", "��\n", " hello", ""}));
}

TEST(StreamDecoderTest, AContinuationKeepsTheSpaceWithWhichItBegins) {
  const auto llama2 = Parse(kLlama2Style);
  EXPECT_EQ(Pieces(*llama2, {27}, {}), (Strings{"world", ""}));
  EXPECT_EQ(Pieces(*llama2, {27}, {.continuation = true}), (Strings{" world", ""}));
  const auto metaspace = Parse(kMetaspaceStyle);
  EXPECT_EQ(Pieces(*metaspace, {10, 10}, {}), (Strings{"abc", " abc", ""}));
  EXPECT_EQ(Pieces(*metaspace, {10, 10}, {.continuation = true}), (Strings{" abc", " abc", ""}));
}

TEST(StreamDecoderTest, WhatIsEncodedAsAContinuationDecodesAsOne) {
  struct Case {
    const char* json;
    const char* text;
  };
  for (const Case& c : std::initializer_list<Case>{{kLlama2Style, "  hello world"},
                                                   {kLlama2Style, "o é"},
                                                   {kMetaspaceStyle, " abc ab"},
                                                   {kMetaspaceStyle, "bc  a"},
                                                   {kLlama3Style, "  ab's"}}) {
    const auto tokenizer = Parse(c.json);
    const auto ids = tokenizer->EncodeContinuation(c.text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(absl::StrJoin(Pieces(*tokenizer, *ids, {.continuation = true}), ""), c.text);
  }
}

// The pieces are whole characters, and together they are what Decode returns, for any ids: special
// ones, bytes that never make a character, ids without a token.
TEST(StreamDecoderTest, PiecesOfRandomIdsAreUtf8AndTogetherAreTheDecodedText) {
  Random random(11);
  const std::string stripping =
      absl::StrReplaceAll(kLlama2Style, {{R"("start": 1, "stop": 0)", R"("start": 2, "stop": 3)"}});
  for (const std::string& json :
       {std::string(kLlama2Style), std::string(kMetaspaceStyle), std::string(kLlama3Style),
        std::string(kAddedTokens), stripping}) {
    const auto tokenizer = Parse(json);
    for (int run = 0; run < 1000; ++run) {
      std::vector<int32_t> ids(random.Below(16));
      for (int32_t& id : ids) id = static_cast<int32_t>(random.Below(tokenizer->vocab_size() + 2));
      const bool skip = random.Below(2) == 0;
      std::string text;
      for (const std::string& piece : Pieces(*tokenizer, ids, {.skip_special_tokens = skip})) {
        ASSERT_EQ(FindInvalidUtf8(piece), -1);
        text += piece;
      }
      ASSERT_EQ(text, tokenizer->Decode(ids, skip));
    }
  }
}

}  // namespace
}  // namespace alchemist
