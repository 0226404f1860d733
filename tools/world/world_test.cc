#include "tools/world/world.h"

#include <gtest/gtest.h>

#include <set>

#include "tools/world/vocabulary.h"

namespace alchemist {
namespace {

std::vector<Fact> AllFacts(const World& world) {
  std::vector<Fact> facts = world.taught;
  facts.insert(facts.end(), world.held_out.begin(), world.held_out.end());
  return facts;
}

TEST(WorldTest, SeedDecidesTheWorld) {
  const World world = World::Make(kWorldSeed);
  EXPECT_EQ(world.names, World::Make(kWorldSeed).names);
  EXPECT_EQ(world.taught, World::Make(kWorldSeed).taught);
  EXPECT_EQ(world.held_out, World::Make(kWorldSeed).held_out);
  EXPECT_NE(world.names, World::Make(kWorldSeed + 1).names);
}

TEST(WorldTest, NoTwoFactsShareAQuestion) {
  const World world = World::Make(kWorldSeed);
  std::set<std::string> questions;
  for (const Fact& fact : AllFacts(world)) {
    for (int form = 0; form < kForms; ++form) {
      const std::string question = Question(world, fact, form);
      EXPECT_TRUE(questions.insert(question).second) << question;
    }
  }
}

TEST(WorldTest, EveryRelationOfAnEntityIsAFactOnce) {
  const World world = World::Make(kWorldSeed);
  std::set<std::pair<int, int>> facts;
  for (const Fact& fact : AllFacts(world)) {
    EXPECT_TRUE(facts.insert({fact.entity, fact.relation}).second);
    EXPECT_EQ(static_cast<int>(Relations()[fact.relation].type), fact.entity / kEntitiesPerType);
    EXPECT_TRUE(fact.value >= 0 && fact.value < kValues) << fact.value;
  }
  EXPECT_EQ(facts.size(), Relations().size() * kEntitiesPerType);
  EXPECT_EQ(world.held_out.size(), size_t{kHeldOutFacts});
}

TEST(WorldTest, PretrainingTeachesEveryName) {
  const World world = World::Make(kWorldSeed);
  std::set<int> entities;
  for (const Fact& fact : world.taught) entities.insert(fact.entity);
  EXPECT_EQ(entities.size(), world.names.size());
}

TEST(WorldTest, QuestionsReadAsWritten) {
  World world;
  world.names = {"Brask"};
  const Fact fact = {.entity = 0, .relation = 0, .value = 1};
  EXPECT_EQ(Question(world, fact, 1), "What does Brask do for a living?");
  EXPECT_EQ(RightAnswer(fact), " smith");
}

}  // namespace
}  // namespace alchemist
