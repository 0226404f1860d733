#include "tools/bpe_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr int64_t kTokensBefore = 257;  // The end of text and the bytes.

std::vector<std::string> Repeat(std::vector<std::pair<std::string, int>> words) {
  std::vector<std::string> texts;
  for (const auto& [word, count] : words) texts.insert(texts.end(), count, word);
  return texts;
}

// By hand: "ug" occurs 20 times, "un" 16, then "h"+"ug" 15 and "p"+"un" 12. "p"+"ug" and "hug"+"s"
// both occur 5 times; "p" is a byte, so it has the lesser id. "b"+"un" is left with 4.
TEST(BpeTrainerTest, MergesTheMostFrequentPairFirst) {
  const std::vector<std::string> texts =
      Repeat({{"hug", 10}, {"pug", 5}, {"pun", 12}, {"bun", 4}, {"hugs", 5}});
  const auto vocabulary = TrainBpe(texts, 1000);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_THAT(vocabulary->merges,
              ElementsAre(Pair("u", "g"), Pair("u", "n"), Pair("h", "ug"), Pair("p", "un"),
                          Pair("p", "ug"), Pair("hug", "s"), Pair("b", "un")));
  ASSERT_EQ(vocabulary->tokens.size(), kTokensBefore + 7);
  EXPECT_EQ(vocabulary->tokens[kEndOfTextId], kEndOfText);
  EXPECT_EQ(vocabulary->tokens[kTokensBefore], "ug");
  EXPECT_EQ(vocabulary->tokens.back(), "bun");
}

TEST(BpeTrainerTest, StopsAtTheSizeAskedFor) {
  const auto vocabulary = TrainBpe(Repeat({{"hug", 10}, {"pun", 12}}), kTokensBefore + 2);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_EQ(vocabulary->tokens.size(), kTokensBefore + 2);
}

TEST(BpeTrainerTest, TokensStayInsideWords) {
  const auto vocabulary = TrainBpe(Repeat({{"go on", 3}, {"by night", 1}}), 1000);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  // A space belongs to the word behind it. "by night" occurs once, too rarely to learn from.
  EXPECT_THAT(vocabulary->merges, ElementsAre(Pair("g", "o"), Pair("o", "n"), Pair("Ġ", "on")));
}

TEST(BpeTrainerTest, BadArgumentsAreNamed) {
  const auto small = TrainBpe({}, kTokensBefore - 1);
  ASSERT_EQ(small.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(small.status().message()), HasSubstr("256"));
  for (const char* text : {"\xff", "a<|endoftext|>"}) {
    EXPECT_EQ(TrainBpe({text}, 1000).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace alchemist
