#include "model/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "base/file.h"
#include "model/tokenizer/example_tokenizers.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<const Tokenizer> Parse(absl::string_view json) {
  auto tokenizer = Tokenizer::Parse(json, "t.json");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

struct Case {
  const char* text;
  std::vector<int32_t> ids;
  const char* decoded;  // with special tokens skipped; nullptr: `text`
};

// `ids` are those without special tokens, which `prefix` and `suffix` surround otherwise.
void ExpectCases(const Tokenizer& tokenizer, const std::vector<Case>& cases,
                 const std::vector<int32_t>& prefix, const std::vector<int32_t>& suffix) {
  for (const Case& c : cases) {
    const auto ids = tokenizer.Encode(c.text, /*add_special_tokens=*/false);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, c.ids) << c.text;
    std::vector<int32_t> surrounded = prefix;
    surrounded.insert(surrounded.end(), c.ids.begin(), c.ids.end());
    surrounded.insert(surrounded.end(), suffix.begin(), suffix.end());
    EXPECT_EQ(*tokenizer.Encode(c.text, /*add_special_tokens=*/true), surrounded) << c.text;
    const char* decoded = c.decoded != nullptr ? c.decoded : c.text;
    EXPECT_EQ(tokenizer.Decode(surrounded, /*skip_special_tokens=*/true), decoded);
  }
}

// The expected ids and texts of these four: see example_tokenizers.h.
TEST(TokenizerTest, Llama2Style) {
  ExpectCases(*Parse(kLlama2Style),
              {{"", {}, nullptr},
               {"hello world", {22, 27}, nullptr},
               {" hello world", {10, 22, 27}, nullptr},
               {"hello  world", {22, 10, 27}, nullptr},
               {"hello é\n🦙", {22, 10, 4, 5, 3, 6, 7, 8, 9}, nullptr},
               {"hello</s>world", {22, 2, 27}, "hello world"},
               {"Ω", {10, 0}, ""},
               {"ΩΩhello", {10, 0, 11, 19, 20}, "hello"},
               {"héllo <s> world", {18, 4, 5, 13, 20, 10, 1, 10, 27}, "héllo   world"}},
              {1}, {});
}

TEST(TokenizerTest, MetaspaceStyle) {
  ExpectCases(*Parse(kMetaspaceStyle),
              {{"", {}, nullptr},
               {"abc", {10}, nullptr},
               {"abc abc", {10, 10}, nullptr},
               {" abc", {10}, "abc"},
               {"abc<end>abc", {10, 12, 9}, "abcabc"},
               {"aXYb", {7, 0, 3}, "ab"},
               {"  ab  b", {1, 8, 1, 11}, " ab  b"},
               {"abX Yc", {8, 0, 1, 0, 4}, "ab c"}},
              {}, {12});
}

TEST(TokenizerTest, Llama3Style) {
  ExpectCases(*Parse(kLlama3Style),
              {{"", {}, nullptr},
               {"ab", {20}, nullptr},
               {"abcd", {29}, nullptr},
               {" ab abcd", {22, 22, 23}, nullptr},
               {"ab's 1234", {20, 24, 11, 27, 8}, nullptr},
               {"ab!!\n\nab", {20, 31, 32, 20}, nullptr},
               {"e\u0301a", {28, 0}, "éa"},
               {"  ab  ", {11, 22, 25}, nullptr},
               {"<|begin|>ab<|tool|> a", {34, 20, 35, 21}, "ab<|tool|> a"},
               {"a 🦙b", {0, 11, 30, 18, 19, 1}, nullptr},
               {"a\r\nb", {0, 13, 12, 1}, nullptr},
               {"abc", {20, 2}, nullptr}},
              {34}, {});
}

TEST(TokenizerTest, AddedTokensFollowTheirOptions) {
  ExpectCases(
      *Parse(kAddedTokens),
      {{"fix", {15}, "ﬁx"},
       {"ﬁx", {15}, "ﬁx"},
       {"x fix x", {3, 4, 15, 4, 3}, "x   ﬁx   x"},
       {"fx x", {1, 3, 4, 3}, "f x   x"},
       {"  <l>  f", {12, 11, 1}, "   f"},
       {"f<r>  f", {1, 13, 1}, "f f"},
       {" <w> f<w> <w>f", {4, 14, 4, 1, 8, 10, 9, 4, 8, 10, 9, 1}, "  <w>   f < w >   < w > f"},
       {"<l>f <l>  <r>  i", {16, 12, 11, 13, 2}, "<l>f    i"},
       {"11Z<w>", {6, 6, 0, 8, 10, 9}, "1 1 ? < w >"},
       {"\u2003<l>\u00a0<r>\u3000x", {12, 4, 13, 3}, "  x"}},
      {}, {});
}

TEST(TokenizerTest, SpecialTokensAreSkippedOnlyWhenAsked) {
  const auto tokenizer = Parse(kLlama2Style);
  EXPECT_EQ(tokenizer->Decode({1, 10, 22, 27, 2}, false), "<s>  hello world</s>");
  EXPECT_EQ(tokenizer->Decode({1, 10, 22, 27, 2}, true), " hello world");
  EXPECT_EQ(Parse(kMetaspaceStyle)->Decode({0, 10, 7, 1, 12}, false), "<unk> abc a <end>");
}

TEST(TokenizerTest, BytesThatAreNoCharacterAreReplaced) {
  EXPECT_EQ(Parse(kLlama2Style)->Decode({6, 7, 22, 9}, false), "�� hello�");
  EXPECT_EQ(Parse(kLlama3Style)->Decode({34, 22, 30, 18, 20, 16, 17, 18, 19, 35}, false),
            "<|begin|> ab�ab🦙<|tool|>");
}

TEST(TokenizerTest, IdsWithoutATokenDecodeToNothing) {
  const auto tokenizer = Parse(kLlama3Style);
  EXPECT_EQ(tokenizer->vocab_size(), 36);
  EXPECT_EQ(tokenizer->Decode({20, 36, -1, 1 << 30, 2}, false), "abc");
}

// The text goes on where another one ended: together they are the tokens of the whole.
TEST(TokenizerTest, AContinuationGetsNoPrefixSpaceAndNoSpecialTokens) {
  struct Split {
    const char* json;
    const char* begin;
    const char* rest;
  };
  const std::string metaspace_always =
      absl::StrReplaceAll(kMetaspaceStyle, {{"\"first\"", "\"always\""}});
  const std::string byte_level_prefix =
      absl::StrReplaceAll(kLlama3Style, {{"\"add_prefix_space\": false, \"trim_offsets\": true",
                                          "\"add_prefix_space\": true, \"trim_offsets\": true"}});
  for (const Split& split :
       std::initializer_list<Split>{{kLlama2Style, "hello", " world"},
                                    {kLlama2Style, "hello ", "</s>hello"},
                                    {kLlama2Style, "hello", "</s> hello"},
                                    {kMetaspaceStyle, "abX", "bc ab"},
                                    {metaspace_always.c_str(), "abX", "bc ab<end>c"},
                                    {kLlama3Style, "ab", " cd"},
                                    {byte_level_prefix.c_str(), "ab<|tool|>", " cd"}}) {
    const auto tokenizer = Parse(split.json);
    std::vector<int32_t> ids = *tokenizer->Encode(split.begin, false);
    const auto rest = tokenizer->EncodeContinuation(split.rest);
    ASSERT_TRUE(rest.ok()) << rest.status();
    ids.insert(ids.end(), rest->begin(), rest->end());
    EXPECT_EQ(ids, *tokenizer->Encode(absl::StrCat(split.begin, split.rest), false)) << split.rest;
  }
  EXPECT_THAT(*Parse(kLlama2Style)->EncodeContinuation("hello"), ElementsAre(11, 19, 20));
  EXPECT_THAT(*Parse(byte_level_prefix)->Encode("ab", false), ElementsAre(22));
  EXPECT_THAT(*Parse(byte_level_prefix)->EncodeContinuation("ab"), ElementsAre(20));
}

TEST(TokenizerTest, TextThatIsNotUtf8IsAnError) {
  const auto tokenizer = Parse(kLlama2Style);
  for (const char* text : {"\xFF", "a\xC3", "\xED\xA0\x80", "\xC0\x80"}) {
    const auto ids = tokenizer->Encode(text, true);
    EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(ids.status().message()), HasSubstr("not UTF-8 at byte"));
    EXPECT_EQ(tokenizer->EncodeContinuation(text).status(), ids.status());
  }
  const auto huge = tokenizer->Encode(std::string(kEncodeBytesMax + 1, 'a'), true);
  EXPECT_EQ(huge.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TokenizerTest, APatternThatRunsAwayIsAnErrorOfTheText) {
  const auto tokenizer = Parse(
      R"({"model": {"vocab": {"a": 0, "b": 1}, "merges": []}, "pre_tokenizer": {"type": "Split",
          "pattern": {"Regex": "(?:a+)+b"}, "behavior": "Isolated", "invert": false}})");
  EXPECT_THAT(*tokenizer->Encode("aab", false), ElementsAre(0, 0, 1));
  const auto ids = tokenizer->Encode(std::string(62, 'a') + "cb", false);
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(ids.status().message()), HasSubstr("pre_tokenizer.pattern.Regex"));
}

TEST(TokenizerTest, LoadReadsTheDirectoryAndDigestsTheFile) {
  const std::string directory = ::testing::TempDir();
  ASSERT_TRUE(WriteFileSynced(absl::StrCat(directory, "/tokenizer.json"), kLlama2Style).ok());
  const auto tokenizer = Tokenizer::Load(directory);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->digest(), Sha256Hex(kLlama2Style));
  EXPECT_EQ(Tokenizer::Load(directory + "/none").status().code(), absl::StatusCode::kNotFound);
}

TEST(TokenizerTest, AnyThreadMayUseIt) {
  const auto tokenizer = Parse(kLlama3Style);
  const std::vector<int32_t> expected = *tokenizer->Encode("ab's abcd 123 a", true);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int run = 0; run < 50; ++run) {
        EXPECT_EQ(*tokenizer->Encode("ab's abcd 123 a", true), expected);
        EXPECT_EQ(tokenizer->Decode(expected, true), "ab's abcd 123 a");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace alchemist
