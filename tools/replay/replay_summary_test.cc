#include "tools/replay/replay_summary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace alchemist {
namespace {

constexpr Slo kSlo = {.ttft_ms = 100, .tpot_ms = 10};

RequestOutcome Completed(int64_t ttft_ms, int64_t e2e_ms, int64_t answer_tokens) {
  RequestOutcome outcome;
  outcome.ttft_us = ttft_ms * 1000;
  outcome.e2e_us = e2e_ms * 1000;
  outcome.prompt_tokens = 200;
  outcome.cached_tokens = 50;
  outcome.answer_tokens = answer_tokens;
  return outcome;
}

RequestOutcome Failed(const absl::Status& status) {
  RequestOutcome outcome;
  outcome.status = status;
  outcome.client_wait_us = 7'000;
  return outcome;
}

TEST(ReplaySummaryTest, CountsTokensOfWhatWasCompleted) {
  const ReplaySummary summary =
      Summarize({Completed(1, 2, 3), Failed(absl::InternalError("")), Completed(1, 2, 4)}, kSlo, 2);
  EXPECT_EQ(summary.completed, 2);
  EXPECT_EQ(summary.failed, 1);
  EXPECT_EQ(summary.prompt_tokens, 400);
  EXPECT_EQ(summary.answer_tokens, 7);
  EXPECT_EQ(summary.prefix_hit_share, 0.25);
  EXPECT_EQ(summary.per_second(summary.prompt_tokens), 200);
}

TEST(ReplaySummaryTest, FailuresAreCountedByCodeWithTheirFirstMessage) {
  const ReplaySummary summary =
      Summarize({Failed(absl::ResourceExhaustedError("full")), Failed(absl::UnavailableError("x")),
                 Failed(absl::ResourceExhaustedError("still full"))},
                kSlo, 1);
  ASSERT_EQ(summary.failures.size(), 2u);
  EXPECT_EQ(summary.failures.at("RESOURCE_EXHAUSTED").count, 2);
  EXPECT_EQ(summary.failures.at("RESOURCE_EXHAUSTED").first_message, "full");
  EXPECT_EQ(summary.failures.at("UNAVAILABLE").count, 1);
  EXPECT_TRUE(std::isinf(summary.ttft_ms.p50)) << "what failed has no latency";
  EXPECT_EQ(summary.client_wait_ms.p50, 7);
}

TEST(ReplaySummaryTest, LatenciesAreNearestRanks) {
  std::vector<RequestOutcome> outcomes;
  for (int64_t i = 100; i >= 1; --i) outcomes.push_back(Completed(i, i + 2 * i, 3));
  const ReplaySummary summary = Summarize(outcomes, kSlo, 1);
  EXPECT_EQ(summary.ttft_ms.p50, 50);
  EXPECT_EQ(summary.ttft_ms.p90, 90);
  EXPECT_EQ(summary.ttft_ms.p99, 99);
  EXPECT_EQ(summary.e2e_ms.p50, 150);
  EXPECT_EQ(summary.tpot_ms.p90, 90) << "the first token is not one of those that are divided by";
}

TEST(ReplaySummaryTest, GoodputCountsWhatMetBothObjectives) {
  const ReplaySummary summary = Summarize({Completed(100, 200, 11),  // Just within both.
                                           Completed(101, 111, 11),  // Too late a first token.
                                           Completed(10, 120, 11),   // Too slow after it.
                                           Completed(10, 4000, 1),   // No token after the first.
                                           Failed(absl::InternalError(""))},
                                          kSlo, 4);
  EXPECT_EQ(summary.slo_met, 2);
  EXPECT_EQ(summary.per_second(summary.slo_met), 0.5);
}

TEST(ReplaySummaryTest, OneTokenHasNoTimePerFurtherToken) {
  EXPECT_TRUE(std::isinf(Summarize({Completed(10, 20, 1)}, kSlo, 1).tpot_ms.p50));
}

TEST(ReplaySummaryTest, NothingIsNoRate) {
  const ReplaySummary summary = Summarize({}, kSlo, 0);
  EXPECT_EQ(summary.per_second(summary.completed), 0);
  EXPECT_EQ(summary.prefix_hit_share, 0);
}

}  // namespace
}  // namespace alchemist
