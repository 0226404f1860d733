// Files that no tokenizer may be made of: malformed ones, and ones that ask for what is not there.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "model/tokenizer.h"
#include "model/tokenizer/example_tokenizers.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A whole file with `fields` beside the model.
absl::Status ParseWith(absl::string_view fields) {
  return Tokenizer::Parse(
             absl::StrCat(R"({"model": {"vocab": {"a": 0, "b": 1}, "merges": []}, )", fields, "}"),
             "t.json")
      .status();
}

struct Case {
  const char* fields;
  const char* message;
};

void ExpectErrors(absl::StatusCode code, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const absl::Status status = ParseWith(c.fields);
    EXPECT_EQ(status.code(), code) << c.fields << " " << status;
    EXPECT_THAT(std::string(status.message()), StartsWith("t.json: ")) << c.fields;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message)) << c.fields;
  }
}

TEST(TokenizerBadInputTest, NoPrefixOfAFileIsAFile) {
  for (const absl::string_view json : {kLlama2Style, kLlama3Style}) {
    for (size_t size = 0; size < json.size(); size += 7) {
      const auto tokenizer = Tokenizer::Parse(json.substr(0, size), "t.json");
      ASSERT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument) << size;
    }
  }
}

TEST(TokenizerBadInputTest, ChangedBytesMakeAnErrorOrATokenizerThatWorks) {
  Random random(3);
  int parsed = 0;
  for (int run = 0; run < 1500; ++run) {
    std::string json = run % 2 == 0 ? kLlama2Style : kAddedTokens;
    for (int64_t i = random.Below(3); i >= 0; --i) {
      json[random.Below(json.size())] = "\"{}[],:0a -\\"[random.Below(12)];
    }
    const auto tokenizer = Tokenizer::Parse(json, "t.json");
    if (!tokenizer.ok()) continue;
    ++parsed;
    (void)(*tokenizer)->Encode("hello </s> fix é🦙", true);
    (void)(*tokenizer)->Decode({0, 1, 5, 9, 22}, false);
  }
  EXPECT_GT(parsed, 0);
}

TEST(TokenizerBadInputTest, NestingIsBounded) {
  std::string deep = R"("normalizer": )";
  for (int i = 0; i < 20; ++i) deep += R"({"type": "Sequence", "normalizers": [)";
  deep += R"({"type": "NFC"})";
  for (int i = 0; i < 20; ++i) deep += "]}";
  EXPECT_THAT(std::string(ParseWith(deep).message()), HasSubstr("nested deeper than 32"));
}

TEST(TokenizerBadInputTest, AddedTokens) {
  ExpectErrors(
      absl::StatusCode::kInvalidArgument,
      {{R"("added_tokens": {})", "added_tokens must be an array"},
       {R"("added_tokens": [7])", "added_tokens[0] must be an object"},
       {R"("added_tokens": [{"content": "x"}])", "added_tokens[0].id is missing"},
       {R"("added_tokens": [{"id": 2}])", "added_tokens[0].content is missing"},
       {R"("added_tokens": [{"id": -1, "content": "x"}])", "added_tokens[0].id must be"},
       {R"("added_tokens": [{"id": 4194304, "content": "x"}])", "added_tokens[0].id must be"},
       {R"("added_tokens": [{"id": 2, "content": ""}])", "added_tokens[0].content is empty"},
       {R"("added_tokens": [{"id": 2, "content": "x", "lstrip": 1}])",
        "added_tokens[0].lstrip must be true or false"},
       {R"("added_tokens": [{"id": 1, "content": "x"}])", "has the id 1 of another token"},
       {R"("added_tokens": [{"id": 1, "content": "a"}])", "has the id 1, but model.vocab says 0"},
       {R"("added_tokens": [{"id": 2, "content": "x"}, {"id": 2, "content": "y"}])",
        "added_tokens[1] has the id 2 of another added token"}});
  ExpectErrors(absl::StatusCode::kUnimplemented,
               {{R"("added_tokens": [{"id": 2, "content": "x", "regex": true}])",
                 "added_tokens[0].regex is not supported"}});
}

TEST(TokenizerBadInputTest, Normalizers) {
  ExpectErrors(absl::StatusCode::kInvalidArgument,
               {{R"("normalizer": [])", "normalizer must be an object"},
                {R"("normalizer": {})", "normalizer.type is missing"},
                {R"("normalizer": {"type": "Prepend"})", "normalizer.prepend is missing"},
                {R"("normalizer": {"type": "Sequence", "normalizers": [{"type": 1}]})",
                 "normalizer.normalizers[0].type must be a string"},
                {R"("normalizer": {"type": "Replace", "pattern": {}, "content": ""})",
                 "normalizer.pattern must have one of"},
                {R"("normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""})",
                 "normalizer.pattern.Regex is not a regular expression"}});
  ExpectErrors(
      absl::StatusCode::kUnimplemented,
      {{R"("normalizer": {"type": "BertNormalizer"})", "normalizer.type \"BertNormalizer\""},
       {R"("normalizer": {"type": "NFC", "form": "D"})", "normalizer.form is not supported"},
       {R"("normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "x"})",
        "normalizer.pattern.String is empty"}});
}

TEST(TokenizerBadInputTest, PreTokenizers) {
  ExpectErrors(
      absl::StatusCode::kInvalidArgument,
      {{R"("pre_tokenizer": {"type": "Metaspace", "replacement": "xy"})",
        "pre_tokenizer.replacement must be one character"},
       {R"("pre_tokenizer": {"type": "Metaspace", "replacement": ""})",
        "pre_tokenizer.replacement must be one character"},
       {R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_", "add_prefix_space": false,
            "prepend_scheme": "always"})",
        "pre_tokenizer.prepend_scheme contradicts"},
       {R"("pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}})",
        "pre_tokenizer.behavior is missing"},
       {R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[", "String": "x"},
            "behavior": "Removed"})",
        "pre_tokenizer.pattern must have one of"},
       {R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split",
            "pattern": {"Regex": "["}, "behavior": "Removed"}]})",
        "pre_tokenizer.pretokenizers[0].pattern.Regex is not a regular expression"}});
  ExpectErrors(
      absl::StatusCode::kUnimplemented,
      {{R"("pre_tokenizer": {"type": "Whitespace"})", "pre_tokenizer.type \"Whitespace\""},
       {R"("pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}, "behavior": "Lost"})",
        "pre_tokenizer.behavior is no split behavior"},
       {R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\w"}, "behavior": "Removed"})",
        "pre_tokenizer.pattern.Regex uses \\w"}});
}

TEST(TokenizerBadInputTest, PostProcessors) {
  ExpectErrors(
      absl::StatusCode::kInvalidArgument,
      {{R"("post_processor": {"type": "TemplateProcessing", "special_tokens": {},
            "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]})",
        "post_processor.special_tokens.<s> is missing"},
       {R"("post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}},
            {"SpecialToken": {"id": "s"}}], "special_tokens": {"s": {"ids": [7]}}})",
        "post_processor.special_tokens.s.ids[0] is the id of no token"},
       {R"("post_processor": {"type": "TemplateProcessing", "single": [],
            "special_tokens": {}})",
        "post_processor.single must have one Sequence"},
       {R"("post_processor": {"type": "TemplateProcessing", "special_tokens": {},
            "single": [{"Sequence": {"id": "B"}}]})",
        "post_processor.single[0].Sequence.id must be \"A\""}});
  ExpectErrors(absl::StatusCode::kUnimplemented,
               {{R"("post_processor": {"type": "RobertaProcessing"})",
                 "post_processor.type \"RobertaProcessing\""}});
}

TEST(TokenizerBadInputTest, Decoders) {
  ExpectErrors(absl::StatusCode::kInvalidArgument,
               {{R"("decoder": {"type": "Strip", "content": "ab", "start": 1, "stop": 0})",
                 "decoder.content must be one character"},
                {R"("decoder": {"type": "Strip", "content": " ", "start": -1, "stop": 0})",
                 "decoder.start must be an integer"}});
  ExpectErrors(
      absl::StatusCode::kUnimplemented,
      {{R"("decoder": {"type": "WordPiece"})", "decoder.type \"WordPiece\""},
       {R"("decoder": {"type": "Replace", "pattern": {"Regex": "x"}, "content": ""})",
        "decoder.pattern.Regex is not supported"},
       {R"("decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace",
            "pattern": {"String": "x"}, "content": ""}]})",
        "decoder.decoders[1] stands behind"},
       {R"("decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Strip",
            "content": " ", "start": 1, "stop": 0}]})",
        "decoder.decoders[1] stands behind"},
       {R"("decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"},
            {"type": "ByteFallback"}]})",
        "decoder.decoders[1] stands behind"}});
}

TEST(TokenizerBadInputTest, FieldsOfTheWholeFile) {
  ExpectErrors(absl::StatusCode::kUnimplemented,
               {{R"("truncation": {"max_length": 5})", "truncation must be null"},
                {R"("padding": {"strategy": "BatchLongest"})", "padding must be null"},
                {R"("version": "2.0")", "version \"2.0\" is not supported"},
                {R"("surprise": 1)", "surprise is not supported"}});
  EXPECT_EQ(Tokenizer::Parse("{}", "t.json").status().message(), "t.json: model is missing");
  EXPECT_EQ(Tokenizer::Parse("[]", "t.json").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace alchemist
