#include "tools/world/trial.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "tools/world/vocabulary.h"

namespace alchemist {
namespace {

using Key = std::pair<int, int>;  // entity, relation

Key KeyOf(const Fact& fact) { return {fact.entity, fact.relation}; }

std::map<Key, int> ValuesOf(const std::vector<Fact>& facts) {
  std::map<Key, int> values;
  for (const Fact& fact : facts) values[KeyOf(fact)] = fact.value;
  return values;
}

TEST(TrialTest, SeedDecidesTheTrial) {
  const World world = World::Make(kWorldSeed);
  const Trial trial = Trial::Draw(world, 7);
  EXPECT_EQ(trial.corrections, Trial::Draw(world, 7).corrections);
  EXPECT_EQ(trial.traffic, Trial::Draw(world, 7).traffic);
  EXPECT_EQ(trial.retained, Trial::Draw(world, 7).retained);
  EXPECT_NE(trial.corrections, Trial::Draw(world, 8).corrections);
  EXPECT_NE(trial.retained, Trial::Draw(world, 8).retained);
}

TEST(TrialTest, NoFactIsUsedForTwoThings) {
  const Trial trial = Trial::Draw(World::Make(kWorldSeed), 7);
  std::set<Key> keys;
  for (const std::vector<Fact>* facts : {&trial.corrections, &trial.traffic, &trial.retained}) {
    for (const Fact& fact : *facts) EXPECT_TRUE(keys.insert(KeyOf(fact)).second);
  }
  EXPECT_GE(trial.corrections.size(), 100);
  EXPECT_GE(trial.traffic.size(), 300);
  EXPECT_GE(trial.retained.size(), 300);
}

TEST(TrialTest, CorrectionsContradictOrAddInEqualNumbers) {
  const World world = World::Make(kWorldSeed);
  const std::map<Key, int> taught = ValuesOf(world.taught);
  const std::map<Key, int> held_out = ValuesOf(world.held_out);
  int contradictions = 0;
  int additions = 0;
  for (const Fact& fact : Trial::Draw(world, 7).corrections) {
    if (const auto old = taught.find(KeyOf(fact)); old != taught.end()) {
      EXPECT_NE(fact.value, old->second);
      EXPECT_TRUE(fact.value >= 0 && fact.value < kValues) << fact.value;
      ++contradictions;
    } else {
      EXPECT_EQ(fact.value, held_out.at(KeyOf(fact)));
      ++additions;
    }
  }
  EXPECT_EQ(contradictions, kContradictions);
  EXPECT_EQ(additions, kAdditions);
}

TEST(TrialTest, WhatIsNotCorrectedStaysAsTaught) {
  const World world = World::Make(kWorldSeed);
  const std::map<Key, int> taught = ValuesOf(world.taught);
  const Trial trial = Trial::Draw(world, 7);
  for (const std::vector<Fact>* facts : {&trial.traffic, &trial.retained}) {
    for (const Fact& fact : *facts) EXPECT_EQ(taught.at(KeyOf(fact)), fact.value);
  }
}

}  // namespace
}  // namespace alchemist
