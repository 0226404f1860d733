#include "tools/replay/replay_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace alchemist {
namespace {

using Requests = std::vector<TraceRequest>;

constexpr int64_t kVocab = 50'000;

ReplayScale ScaleOf(double speedup, double length_scale, int64_t request_tokens_max) {
  ReplayScale scale;
  scale.speedup = speedup;
  scale.length_scale = length_scale;
  scale.request_tokens_max = request_tokens_max;
  return scale;
}

// How many first tokens two prompts share.
int64_t Shared(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const auto end = a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size()));
  return std::mismatch(a.begin(), end, b.begin()).first - a.begin();
}

TEST(ReplayPlanTest, GapsShrinkBySpeedupAndLengthsByTheirScale) {
  const Trace trace = {true, {{0, 100, 10}, {4'000'000, 7, 1}, {9'000'000, 1, 1}}};
  const ReplayPlan plan = PlanReplay(trace, ScaleOf(4, 0.5, 1000));
  EXPECT_EQ(plan.requests, (Requests{{0, 50, 5}, {1'000'000, 3, 1}, {2'250'000, 1, 1}}));
  EXPECT_EQ(plan.requests_cut, 0);
}

TEST(ReplayPlanTest, TakesTheFirstRequestsOrAllThereAre) {
  const Trace trace = {true, {{0, 1, 1}, {5, 2, 2}, {9, 3, 3}}};
  ReplayScale scale = ScaleOf(1, 1, 1000);
  EXPECT_EQ(PlanReplay(trace, scale).requests, trace.requests);
  scale.requests = 2;
  EXPECT_EQ(PlanReplay(trace, scale).requests, (Requests{{0, 1, 1}, {5, 2, 2}}));
  scale.requests = 4;
  EXPECT_EQ(PlanReplay(trace, scale).requests, trace.requests);
}

TEST(ReplayPlanTest, WhatTheServerDoesNotTakeIsCutToItInProportion) {
  const Trace trace = {true, {{0, 900, 300}, {0, 90, 10}, {0, 1, 5000}, {0, 5000, 1}}};
  const ReplayPlan plan = PlanReplay(trace, ScaleOf(1, 1, 100));
  EXPECT_EQ(plan.requests, (Requests{{0, 75, 25}, {0, 90, 10}, {0, 1, 99}, {0, 99, 1}}));
  EXPECT_EQ(plan.requests_cut, 3);
}

TEST(ReplayPlanTest, ATraceWithoutArrivalsGetsPoissonOnesOfTheRate) {
  const Trace trace = {false, Requests(2000, {0, 1, 1})};
  ReplayScale scale = ScaleOf(1, 1, 1000);
  scale.per_second = 50;
  const ReplayPlan plan = PlanReplay(trace, scale);
  EXPECT_TRUE(
      std::is_sorted(plan.requests.begin(), plan.requests.end(),
                     [](const auto& a, const auto& b) { return a.arrival_us < b.arrival_us; }));
  EXPECT_NEAR(static_cast<double>(plan.requests.back().arrival_us), 40e6, 3e6);
  scale.speedup = 2;
  EXPECT_EQ(PlanReplay(trace, scale).requests.back().arrival_us,
            plan.requests.back().arrival_us / 2);
}

TEST(ReplayPromptTest, SharesAsManyTokensAsItsFirstHashIdsSay) {
  for (const double scale : {1.0, 0.25, 0.03}) {
    const auto prompt = [&](int64_t tokens, std::vector<int64_t> ids) {
      const TraceRequest request = {0, static_cast<int64_t>(static_cast<double>(tokens) * scale), 1,
                                    std::move(ids)};
      return ReplayPrompt(request, /*index=*/0, kVocab, scale, /*seed=*/1);
    };
    const auto block = [&](int64_t count) {
      return static_cast<int64_t>(static_cast<double>(count * kTraceBlockTokens) * scale);
    };
    const auto first = prompt(2000, {0, 1, 2, 3});
    EXPECT_EQ(first.size(), static_cast<size_t>(2000 * scale));
    EXPECT_EQ(Shared(first, prompt(2048, {0, 1, 2, 4})), block(3)) << scale;
    EXPECT_EQ(Shared(first, prompt(1500, {0, 5, 2})), block(1)) << scale;
    EXPECT_EQ(Shared(first, prompt(1500, {6, 1, 2})), 0) << scale;
    EXPECT_EQ(Shared(first, prompt(2000, {0, 1, 2, 3})), static_cast<int64_t>(first.size()));
    EXPECT_EQ(Shared(first, prompt(1024, {0, 1})), block(2)) << "a whole prefix";
  }
}

TEST(ReplayPromptTest, ACutPromptIsTheBeginningOfTheWholeOne) {
  const TraceRequest whole = {0, 2000, 1, {0, 1, 2, 3}};
  const TraceRequest cut = {0, 700, 1, {0, 1, 2, 3}};
  EXPECT_EQ(Shared(ReplayPrompt(whole, 0, kVocab, 1, 1), ReplayPrompt(cut, 5, kVocab, 1, 1)), 700);
}

TEST(ReplayPromptTest, AScaleThatLeavesBlocksWithoutTokensStillMakesPrompts) {
  const TraceRequest request = {0, 2, 1, {0, 1, 2, 3, 4, 5, 6, 7}};
  EXPECT_EQ(ReplayPrompt(request, 0, kVocab, 0.0005, 1).size(), 2u);
}

TEST(ReplayPromptTest, WithoutHashIdsEachPromptIsItsOwnAndTheSeedDecides) {
  const TraceRequest request = {0, 64, 1};
  std::set<std::vector<int32_t>> prompts;
  for (int64_t index = 0; index < 100; ++index) {
    prompts.insert(ReplayPrompt(request, index, kVocab, 1, 1));
  }
  EXPECT_EQ(prompts.size(), 100u);
  EXPECT_EQ(prompts.count(ReplayPrompt(request, 7, kVocab, 1, 1)), 1u) << "the same each time";
  EXPECT_EQ(prompts.count(ReplayPrompt(request, 7, kVocab, 1, 2)), 0u);
  const TraceRequest hashed = {0, 64, 1, {3}};
  EXPECT_EQ(Shared(ReplayPrompt(hashed, 0, kVocab, 1, 1), ReplayPrompt(hashed, 0, kVocab, 1, 2)),
            0);
}

TEST(ReplayPromptTest, TokensAreOfTheVocabulary) {
  const TraceRequest request = {0, 4000, 1, {0, 1, 2, 3, 4, 5, 6, 7}};
  for (const int32_t token : ReplayPrompt(request, 0, 3, 1, 1)) {
    EXPECT_GE(token, 0);
    EXPECT_LT(token, 3);
  }
}

}  // namespace
}  // namespace alchemist
