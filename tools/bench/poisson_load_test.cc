#include "tools/bench/poisson_load.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace alchemist {
namespace {

TEST(PoissonLoadTest, ArrivalsHaveTheRateAndItsUnrest) {
  constexpr int64_t kCount = 20'000;
  const std::vector<int64_t> arrivals = PoissonArrivals(kCount, 50, /*seed=*/1);
  ASSERT_EQ(arrivals.size(), kCount);
  EXPECT_EQ(arrivals[0], 0);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
  // The mean gap is 20 ms, with a deviation of 20 ms / sqrt(count); the bound is five of these.
  EXPECT_NEAR(static_cast<double>(arrivals.back()) / kCount, 20'000, 5 * 20'000 / 141.0);
  int64_t below_mean = 0;
  for (size_t i = 1; i < arrivals.size(); ++i) below_mean += arrivals[i] - arrivals[i - 1] < 20'000;
  // 1 - 1/e of exponential gaps are below their mean.
  EXPECT_NEAR(static_cast<double>(below_mean) / kCount, 0.632, 5 * 0.482 / 141.0);
}

TEST(PoissonLoadTest, OneSeedIsOnePatternAtEveryRate) {
  const std::vector<int64_t> slow = PoissonArrivals(9, 10, 3), fast = PoissonArrivals(9, 20, 3);
  for (size_t i = 0; i < slow.size(); ++i) EXPECT_NEAR(slow[i], 2 * fast[i], 2);
  EXPECT_NE(slow, PoissonArrivals(9, 10, 4));
}

}  // namespace
}  // namespace alchemist
