#include "model/tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Matches(absl::string_view pattern, absl::string_view text) {
  const auto regex = Regex::Compile(pattern, "field");
  EXPECT_TRUE(regex.ok()) << regex.status();
  const auto ranges = regex->FindAll(text);
  EXPECT_TRUE(ranges.ok()) << ranges.status();
  std::vector<std::string> matches;
  for (const TextRange& range : *ranges) matches.emplace_back(range.Of(text));
  return matches;
}

TEST(RegexTest, KnowsLookAheadPossessiveQuantifiersAndUnicodeClasses) {
  EXPECT_THAT(Matches(R"(\s+(?!\S)|\s+)", "a  b\u3000"), ElementsAre(" ", " ", "\u3000"));
  EXPECT_THAT(Matches(R"([^\r\n\p{L}\p{N}]?+\p{L}+)", "Привет, мир"),
              ElementsAre("Привет", " мир"));
  EXPECT_THAT(Matches("(?i:'s)", "a'S"), ElementsAre("'S"));
}

TEST(RegexTest, LinesHaveTheirOwnBeginAndEnd) {
  EXPECT_THAT(Matches("^.|.$", "ab\ncd"), ElementsAre("a", "b", "c", "d"));
}

TEST(RegexTest, EmptyMatchesEndAndStandNotBehindAnother) {
  EXPECT_THAT(Matches("x*", "aéxxb"), ElementsAre("", "", "xx", ""));
  EXPECT_THAT(Matches("x*", ""), ElementsAre(""));
  EXPECT_THAT(Matches("x", ""), IsEmpty());
}

TEST(RegexTest, AnInvalidPatternIsAnErrorThatNamesItsField) {
  for (const char* pattern : {"(", "[a", "a**", "\\p{Nonsense}", "(?<=a*)b", "\\C", "a{2,1}"}) {
    const auto regex = Regex::Compile(pattern, "file: field");
    EXPECT_EQ(regex.status().code(), absl::StatusCode::kInvalidArgument) << pattern;
    EXPECT_THAT(std::string(regex.status().message()), HasSubstr("file: field is not a regular"));
  }
  EXPECT_FALSE(Regex::Compile(std::string(1 << 20, 'a'), "field").ok());
}

TEST(RegexTest, SyntaxThatOnigurumaReadsOtherwiseIsRefused) {
  for (const char* pattern : {R"(\w+)", R"([^\W\s])", R"(\bx)", R"(\h)", "[a[bc]]", "[[:alpha:]]",
                              "[a-z&&[^b]]", "(?m:.)", "(?im)a"}) {
    const auto regex = Regex::Compile(pattern, "field");
    EXPECT_EQ(regex.status().code(), absl::StatusCode::kUnimplemented) << pattern;
  }
  for (const char* pattern : {R"([\[&\]]&&[]a]m)", R"(\\w)", "(?i:m)", "(?=m)", "(?<m>a)"}) {
    EXPECT_TRUE(Regex::Compile(pattern, "field").ok()) << pattern;
  }
}

TEST(RegexTest, APatternThatBacktracksWithoutBoundIsStopped) {
  const auto regex = Regex::Compile("(?:a+)+b", "file: field");
  ASSERT_TRUE(regex.ok());
  const auto matches = regex->FindAll(std::string(62, 'a') + "cb");
  EXPECT_EQ(matches.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(matches.status().message()), HasSubstr("file: field on a text of 64"));
}

TEST(RegexTest, LongRunsOfOneKindStayWithinTheLimits) {
  constexpr absl::string_view kPattern = R"(\p{L}+| ?[^\s\p{L}]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
  for (const char character : {'a', ' ', '\n', '!'}) {
    EXPECT_EQ(Matches(kPattern, std::string(1 << 20, character)).size(), 1) << character;
  }
}

}  // namespace
}  // namespace alchemist
