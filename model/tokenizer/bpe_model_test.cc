#include "model/tokenizer/bpe_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/random.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<BpeModel> Parse(absl::string_view json) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json, "f"));
  return BpeModel::Parse(JsonNode(&document, "f: model"));
}

std::vector<int32_t> Encode(const BpeModel& model, absl::string_view word) {
  std::vector<int32_t> ids;
  const absl::Status status = model.Encode(word, &ids);
  EXPECT_TRUE(status.ok()) << status;
  return ids;
}

TEST(BpeModelTest, MergesOfLowestRankComeFirstAndTheLeftmostOfEqualOnes) {
  const auto model = Parse(R"({"vocab": {"a": 0, "b": 1, "c": 2, "bc": 3, "ab": 4, "abc": 5,
      "aa": 6}, "merges": ["b c", "a b", "a bc", "a a"]})");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(Encode(*model, "abc"), ElementsAre(5));  // b c, then a bc
  EXPECT_THAT(Encode(*model, "abab"), ElementsAre(4, 4));
  EXPECT_THAT(Encode(*model, "aaaaa"), ElementsAre(6, 6, 0));
  EXPECT_THAT(Encode(*model, "aabc"), ElementsAre(0, 5));
  EXPECT_THAT(Encode(*model, ""), ElementsAre());
}

TEST(BpeModelTest, BothSpellingsOfMergesMeanTheSame) {
  constexpr char kVocabulary[] = R"({"vocab": {"a": 0, "b": 1, " ": 2, "ab": 3, "a ": 4}, )";
  const auto strings = Parse(absl::StrCat(kVocabulary, R"("merges": ["a b"]})"));
  const auto pairs = Parse(absl::StrCat(kVocabulary, R"("merges": [["a", "b"], ["a", " "]]})"));
  ASSERT_TRUE(strings.ok()) << strings.status();
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  EXPECT_THAT(Encode(*strings, "ab a"), ElementsAre(3, 2, 0));
  EXPECT_THAT(Encode(*pairs, "ab a"), ElementsAre(3, 2, 0));
  EXPECT_THAT(Encode(*pairs, "a b"), ElementsAre(4, 1));  // A string could not name this merge.
}

TEST(BpeModelTest, ACharacterWithoutATokenIsBytesOrUnknownOrAnError) {
  constexpr char kVocabulary[] = R"({"vocab": {"?": 0, "a": 1, "<0xC3>": 2, "<0xA9>": 3},
      "merges": [], )";
  const auto with = [&](absl::string_view options) {
    const auto model = Parse(absl::StrCat(kVocabulary, options, "}"));
    EXPECT_TRUE(model.ok()) << model.status();
    return *model;
  };
  const BpeModel bytes = with(R"("byte_fallback": true, "unk_token": "?", "fuse_unk": true)");
  EXPECT_THAT(Encode(bytes, "aé"), ElementsAre(1, 2, 3));
  EXPECT_THAT(Encode(bytes, "èèaèéè"), ElementsAre(0, 1, 0, 2, 3, 0));
  EXPECT_THAT(Encode(with(R"("unk_token": "?", "fuse_unk": false)"), "éé"), ElementsAre(0, 0));

  std::vector<int32_t> ids;
  const absl::Status status = with(R"("unk_token": null)").Encode("aé", &ids);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"é\""));
}

TEST(BpeModelTest, IgnoreMergesTakesAWordThatIsAToken) {
  constexpr char kModel[] = R"({"vocab": {"a": 0, "b": 1, "ab": 2, "aba": 3}, "merges": ["a b"],
      "ignore_merges": )";
  EXPECT_THAT(Encode(*Parse(absl::StrCat(kModel, "true}")), "aba"), ElementsAre(3));
  EXPECT_THAT(Encode(*Parse(absl::StrCat(kModel, "false}")), "aba"), ElementsAre(2, 0));
}

// Merges as their definition says, in quadratic time.
std::vector<std::string> MergeSlowly(std::vector<std::string> tokens,
                                     const std::vector<std::string>& merges) {
  while (true) {
    size_t best_rank = merges.size();
    size_t best = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto merge = std::find(merges.begin(), merges.end(), tokens[i] + " " + tokens[i + 1]);
      const size_t rank = merge - merges.begin();
      if (rank < best_rank) {
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == merges.size()) return tokens;
    tokens[best] += tokens[best + 1];
    tokens.erase(tokens.begin() + best + 1);
  }
}

TEST(BpeModelTest, RandomMergesOfRandomWordsFollowTheDefinition) {
  Random random(7);
  for (int run = 0; run < 50; ++run) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<std::string> merges;
    while (merges.size() < 24) {
      const std::string& left = tokens[random.Below(tokens.size())];
      const std::string& right = tokens[random.Below(tokens.size())];
      const std::string merge = left + " " + right;
      const std::string merged = left + right;
      if (std::find(merges.begin(), merges.end(), merge) != merges.end()) continue;
      merges.push_back(merge);
      if (std::find(tokens.begin(), tokens.end(), merged) == tokens.end()) tokens.push_back(merged);
    }
    nlohmann::json json = {{"vocab", nlohmann::json::object()}, {"merges", merges}};
    for (size_t id = 0; id < tokens.size(); ++id) json["vocab"][tokens[id]] = id;
    const auto model = Parse(json.dump());
    ASSERT_TRUE(model.ok()) << model.status();
    for (int word = 0; word < 20; ++word) {
      std::vector<std::string> characters(random.Below(30));
      for (std::string& character : characters) character = tokens[random.Below(3)];
      std::vector<std::string> encoded;
      for (const int32_t id : Encode(*model, absl::StrJoin(characters, ""))) {
        encoded.emplace_back(model->Text(id));
      }
      ASSERT_EQ(encoded, MergeSlowly(characters, merges));
    }
  }
}

// In quadratic time this would take hours.
TEST(BpeModelTest, AWordOfAMillionCharactersIsNotQuadratic) {
  const auto model = Parse(R"({"vocab": {"a": 0, "aa": 1, "aaaa": 2, "aaaaaaaa": 3},
      "merges": ["a a", "aa aa", "aaaa aaaa"]})");
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(Encode(*model, std::string(1 << 20, 'a')), std::vector<int32_t>(1 << 17, 3));
}

TEST(BpeModelTest, WhatIsWrongIsAnErrorThatNamesTheField) {
  struct Case {
    const char* json;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {R"([])", "f: model must be an object"},
           {R"({"merges": []})", "f: model.vocab is missing"},
           {R"({"vocab": {"a": 0}})", "f: model.merges is missing"},
           {R"({"vocab": ["a"], "merges": []})", "f: model.vocab must be an object"},
           {R"({"vocab": {}, "merges": []})", "f: model.vocab is empty"},
           {R"({"vocab": {"a": -1}, "merges": []})", "f: model.vocab[\"a\"] must be an integer"},
           {R"({"vocab": {"a": 1.5}, "merges": []})", "f: model.vocab[\"a\"] must be an integer"},
           {R"({"vocab": {"a": "0"}, "merges": []})", "f: model.vocab[\"a\"] must be an integer"},
           {R"({"vocab": {"a": 4194304}, "merges": []})", "between 0 and 4194303"},
           {R"({"vocab": {"a": 99999999999999999999}, "merges": []})", "between 0 and 4194303"},
           {R"({"vocab": {"a": 3, "b": 3}, "merges": []})", "has the id 3 of another token"},
           {R"({"vocab": {"a": 0}, "merges": {}})", "f: model.merges must be an array"},
           {R"({"vocab": {"a": 0}, "merges": ["aa"]})", "f: model.merges[0] must be two tokens"},
           {R"({"vocab": {"a": 0}, "merges": ["a a a"]})", "f: model.merges[0] must be two tokens"},
           {R"({"vocab": {"a": 0}, "merges": [7]})", "f: model.merges[0] must be a string"},
           {R"({"vocab": {"a": 0}, "merges": [["a"]]})", "f: model.merges[0] must name two"},
           {R"({"vocab": {"a": 0}, "merges": [["a", 1]]})", "f: model.merges[0][1] must be a"},
           {R"({"vocab": {"a": 0, "": 1}, "merges": [" a"]})", "names an empty token"},
           {R"({"vocab": {"a": 0}, "merges": ["a b"]})",
            "f: model.merges[0] names the token \"b\""},
           {R"({"vocab": {"a": 0, "b": 1}, "merges": ["a b"]})", "names the token \"ab\""},
           {R"({"vocab": {"a": 0}, "merges": [], "unk_token": "u"})",
            "f: model.unk_token is not in the vocabulary"},
           {R"({"vocab": {"a": 0}, "merges": [], "fuse_unk": 1})", "f: model.fuse_unk must be"}}) {
    const auto model = Parse(c.json);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument) << c.json;
    EXPECT_THAT(std::string(model.status().message()), HasSubstr(c.message)) << c.json;
  }
}

TEST(BpeModelTest, WhatIsNotSupportedIsAnErrorThatNamesTheField) {
  for (const char* field :
       {R"("type": "Unigram")", R"("dropout": 0.1)", R"("continuing_subword_prefix": "##")",
        R"("end_of_word_suffix": "</w>")", R"("surprise": null)"}) {
    const auto model = Parse(absl::StrCat(R"({"vocab": {"a": 0}, "merges": [], )", field, "}"));
    const absl::string_view key = absl::string_view(field).substr(1, 4);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kUnimplemented) << field;
    EXPECT_THAT(std::string(model.status().message()), HasSubstr(std::string(key)));
  }
  EXPECT_TRUE(Parse(R"({"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.0,
      "continuing_subword_prefix": "", "end_of_word_suffix": null})")
                  .ok());
}

}  // namespace
}  // namespace alchemist
