#include "model/tokenizer/split_behavior.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "model/tokenizer/text_pattern.h"

namespace alchemist {
namespace {

std::string Split(absl::string_view text, SplitBehavior behavior, bool invert) {
  std::vector<absl::string_view> pieces;
  for (const TextRange& range : SplitAt(FindAllOf("-", text), text.size(), behavior, invert)) {
    pieces.push_back(range.Of(text));
  }
  return absl::StrJoin(pieces, " ");
}

// What the Python package `tokenizers` 0.21.4 makes of "-" as String pattern:
// Split("-", behavior, invert).pre_tokenize_str(text).
TEST(SplitBehaviorTest, EachBehaviorPutsTheDelimitersWhereItSays) {
  struct Case {
    SplitBehavior behavior;
    const char* pieces;
    const char* inverted;
  };
  for (const Case& c : std::initializer_list<Case>{
           {SplitBehavior::kRemoved, "ab c d", "- - - - -"},
           {SplitBehavior::kIsolated, "- ab - - c - d -", "- ab - - c - d -"},
           {SplitBehavior::kMergedWithPrevious, "- ab- - c- d-", "-ab - -c -d -"},
           {SplitBehavior::kMergedWithNext, "-ab - -c -d -", "- ab- - c- d-"},
           {SplitBehavior::kContiguous, "- ab -- c - d -", "- ab -- c - d -"}}) {
    EXPECT_EQ(Split("-ab--c-d-", c.behavior, false), c.pieces);
    EXPECT_EQ(Split("-ab--c-d-", c.behavior, true), c.inverted);
  }
}

TEST(SplitBehaviorTest, TextWithoutADelimiterIsOnePieceAndNoTextIsNone) {
  EXPECT_EQ(Split("ab", SplitBehavior::kMergedWithNext, false), "ab");
  EXPECT_EQ(Split("ab", SplitBehavior::kRemoved, true), "");
  EXPECT_EQ(Split("", SplitBehavior::kIsolated, false), "");
}

}  // namespace
}  // namespace alchemist
