#include "server/request_metrics.h"

#include <cstdint>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

int64_t Count(const Histogram& histogram) {
  return std::accumulate(histogram.counts().begin(), histogram.counts().end(), int64_t{0});
}

TEST(RequestMetricsTest, BucketsHoldTheirUpperBoundAndTheLastAllAbove) {
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 2.0, 2.5}) histogram.Observe(value);
  EXPECT_EQ(histogram.counts(), (std::vector<int64_t>{2, 2, 1}));
  EXPECT_DOUBLE_EQ(histogram.sum(), 7.5);
}

TEST(RequestMetricsTest, TimesAreSecondsAndTheFirstTokenIsNoneOfTheLaterOnes) {
  RequestMetrics metrics;
  metrics.OnQueued(2'000);
  metrics.OnFirstToken(/*us=*/40'000, /*tokens_of_prompt=*/128);
  metrics.OnEnd(/*us=*/340'000, /*us_since_first_token=*/300'000, /*tokens=*/4);
  metrics.OnStep(7'000);
  EXPECT_DOUBLE_EQ(metrics.queue_time.sum(), 0.002);
  EXPECT_DOUBLE_EQ(metrics.time_to_first_token.sum(), 0.04);
  EXPECT_DOUBLE_EQ(metrics.time_per_output_token.sum(), 0.1);
  EXPECT_DOUBLE_EQ(metrics.e2e_request_latency.sum(), 0.34);
  EXPECT_DOUBLE_EQ(metrics.prompt_tokens.sum(), 128);
  EXPECT_DOUBLE_EQ(metrics.generation_tokens.sum(), 4);
  EXPECT_DOUBLE_EQ(metrics.engine_step.sum(), 0.007);
}

TEST(RequestMetricsTest, AnAnswerOfOneTokenHasNoTimePerFurtherToken) {
  RequestMetrics metrics;
  metrics.OnEnd(/*us=*/5'000, /*us_since_first_token=*/1, /*tokens=*/1);
  EXPECT_EQ(Count(metrics.time_per_output_token), 0);
  EXPECT_EQ(Count(metrics.e2e_request_latency), 1);
}

}  // namespace
}  // namespace alchemist
