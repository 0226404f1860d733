#include "server/output_text.h"

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "base/random.h"
#include "gtest/gtest.h"
#include "model/tokenizer/example_tokenizers.h"

namespace alchemist {
namespace {

std::unique_ptr<const Tokenizer> Parse(absl::string_view json) {
  auto tokenizer = Tokenizer::Parse(json, "t.json");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

using Strings = std::vector<std::string>;

// What each token emits, then what Finish does.
Strings Emitted(const Tokenizer& tokenizer, const Strings& stop,
                const std::vector<int32_t>& tokens) {
  OutputText text(&tokenizer, stop);
  Strings emitted;
  for (const int32_t token : tokens) emitted.push_back(text.Push(token));
  emitted.push_back(text.Finish());
  return emitted;
}

// Ids of kLlama3Style.
constexpr int32_t kA = 0, kB = 1, kC = 2, kD = 3, kAb = 20, kCd = 23, kAbcd = 29, kBc = 33;
constexpr int32_t kExclamation = 10, kBegin = 34;
constexpr int32_t kLlama1 = 30, kLlama2 = 18, kLlama3 = 19;  // The bytes of a llama.

class OutputTextTest : public testing::Test {
 protected:
  const std::unique_ptr<const Tokenizer> tokenizer_ = Parse(kLlama3Style);
};

TEST_F(OutputTextTest, WithoutStopStringsEveryTokenIsEmittedAtOnce) {
  EXPECT_EQ(Emitted(*tokenizer_, {}, {kAb, kC, kBegin, kD}), (Strings{"ab", "c", "", "d", ""}));
}

TEST_F(OutputTextTest, AStopStringAcrossTokensIsNeverHalfEmitted) {
  EXPECT_EQ(Emitted(*tokenizer_, {"bcd!"}, {kA, kB, kC, kD, kExclamation, kA}),
            (Strings{"a", "", "", "", "", "", ""}));
}

TEST_F(OutputTextTest, WhatTurnsOutToBeNoStopStringIsEmitted) {
  EXPECT_EQ(Emitted(*tokenizer_, {"bcd!"}, {kAb, kCd, kA}), (Strings{"a", "", "bcda", ""}));
  EXPECT_EQ(Emitted(*tokenizer_, {"bcd!"}, {kAb, kC}), (Strings{"a", "", "bc"})) << "at the end";
  // The second b begins a match while the first one fails.
  EXPECT_EQ(Emitted(*tokenizer_, {"bbc"}, {kB, kB, kB, kC}), (Strings{"", "", "b", "", ""}));
}

TEST_F(OutputTextTest, TheStopStringThatIsCompleteFirstEndsTheText) {
  EXPECT_EQ(Emitted(*tokenizer_, {"abcd", "bc"}, {kA, kB, kC, kD}), (Strings{"", "", "a", "", ""}));
  EXPECT_EQ(Emitted(*tokenizer_, {"abcd", "bc"}, {kAbcd}), (Strings{"a", ""}))
      << "the same text in one token";
  EXPECT_EQ(Emitted(*tokenizer_, {"bc", "abc"}, {kAbcd}), (Strings{"", ""}))
      << "of two that end together the longer one";
}

TEST_F(OutputTextTest, StopIsSeenWithTheTokenThatCompletesIt) {
  OutputText text(tokenizer_.get(), {"bc"});
  EXPECT_EQ(text.Push(kAb), "a");
  EXPECT_FALSE(text.stopped());
  EXPECT_EQ(text.Push(kCd), "");
  EXPECT_TRUE(text.stopped());
  EXPECT_EQ(text.Push(kA), "");
  EXPECT_EQ(text.Finish(), "");
}

TEST_F(OutputTextTest, CharactersOfSeveralTokensAreWholeAndCanStop) {
  EXPECT_EQ(Emitted(*tokenizer_, {}, {kLlama1, kLlama2, kLlama3}), (Strings{"", "", "🦙", ""}));
  EXPECT_EQ(Emitted(*tokenizer_, {"🦙"}, {kA, kLlama1, kLlama2, kLlama3, kA}),
            (Strings{"a", "", "", "", "", ""}));
  EXPECT_EQ(Emitted(*tokenizer_, {"�"}, {kA, kLlama1}), (Strings{"a", "", ""}))
      << "a stop string that Finish completes";
}

TEST(OutputTextContinuationTest, AnAnswerKeepsTheSpaceWithWhichItBegins) {
  EXPECT_EQ(Emitted(*Parse(kLlama2Style), {}, {27, 27}), (Strings{" world", " world", ""}));
}

// The text that a client should see: everything before the stop string that is complete first.
std::string Cut(const std::string& text, const Strings& stop) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t begin = std::string::npos;
    for (const std::string& s : stop) {
      if (end >= s.size() && text.compare(end - s.size(), s.size(), s) == 0) {
        begin = std::min(begin, end - s.size());
      }
    }
    if (begin != std::string::npos) return text.substr(0, begin);
  }
  return text;
}

TEST_F(OutputTextTest, ThePiecesTogetherAreTheTextBeforeTheFirstStopForRandomTokens) {
  Random random(5);
  const int32_t ids[] = {kA, kB, kC, kD, kAb, kCd, kAbcd, kBc, kLlama1, kLlama2, kLlama3};
  int stopped = 0;
  for (int round = 0; round < 2000; ++round) {
    Strings stop;
    for (int64_t i = random.Below(4); i > 0; --i) {
      std::string& s = stop.emplace_back();
      for (int64_t n = 1 + random.Below(4); n > 0; --n) s += "abcd"[random.Below(4)];
    }
    std::vector<int32_t> tokens;
    for (int i = 0; i < 12; ++i) tokens.push_back(ids[random.Below(std::size(ids))]);
    std::string together;
    for (const std::string& piece : Emitted(*tokenizer_, stop, tokens)) together += piece;
    const std::string all = tokenizer_->Decode(tokens, /*skip_special_tokens=*/true);
    ASSERT_EQ(together, Cut(all, stop)) << "round " << round;
    stopped += together != all;
  }
  EXPECT_GT(stopped, 200) << "the property was hardly tried";
}

}  // namespace
}  // namespace alchemist
