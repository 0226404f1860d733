#include "tools/world/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/digest.h"
#include "tools/world/vocabulary.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;

// The committed model was made from these bytes: when they change it has to be made again.
TEST(CorpusTest, CommittedModelWasTrainedOnThisCorpus) {
  const std::string text = FormatSamples(PretrainingSamples(World::Make(kWorldSeed)));
  EXPECT_EQ(Sha256Hex(text), "13bafb35cc9b361051fc510ac46363ebd6d5ed5393b9f11908c1215c0458d4e9");
}

TEST(CorpusTest, TaughtFactsAreAskedInEveryFormAndNoOthers) {
  const World world = World::Make(kWorldSeed);
  std::set<std::string> prompts;
  for (const Sample& sample : PretrainingSamples(world)) prompts.insert(sample.prompt);
  EXPECT_EQ(prompts.size(), world.taught.size() * kForms);
  for (int form = 0; form < kForms; ++form) {
    for (const Fact& fact : world.taught) {
      EXPECT_TRUE(prompts.contains(Question(world, fact, form)));
    }
    for (const Fact& fact : world.held_out) {
      EXPECT_FALSE(prompts.contains(Question(world, fact, form)));
    }
  }
}

TEST(CorpusTest, ParsingRevertsFormatting) {
  const std::vector<Sample> samples = {{"a \"b\"\nc", " é"}, {"", ""}};
  const auto parsed = ParseSamples(FormatSamples(samples), "x");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, samples);
}

TEST(CorpusTest, BadLinesAreNamed) {
  const std::string good = R"({"prompt": "a", "response": "b"})"
                           "\n";
  for (const char* bad : {"{", "[]", R"({"prompt": "a"})", R"({"prompt": "a", "response": 1})",
                          R"({"prompt": "a", "response": "b", "weight": 1})"}) {
    const auto parsed = ParseSamples(good + bad, "corpus.jsonl");
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("corpus.jsonl:2")) << bad;
  }
}

}  // namespace
}  // namespace alchemist
