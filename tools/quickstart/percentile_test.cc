#include "tools/quickstart/percentile.h"

#include <gtest/gtest.h>

#include <limits>

namespace alchemist {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(PercentileTest, IsAMeasuredValueThatTheShareDoesNotExceed) {
  EXPECT_EQ(Percentile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Percentile({4, 3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Percentile({4, 3, 1, 2}, 0.51), 3);
  EXPECT_EQ(Percentile({4, 3, 1, 2}, 1), 4);
  EXPECT_EQ(Percentile({7}, 0.01), 7);
}

TEST(PercentileTest, WhatNeverCameCountsAsLatest) {
  EXPECT_EQ(Percentile({1, kInfinity, 2}, 0.5), 2);
  EXPECT_EQ(Percentile({1, kInfinity, 2}, 0.95), kInfinity);
}

TEST(PercentileTest, OfNothingIsInfinite) { EXPECT_EQ(Percentile({}, 0.5), kInfinity); }

}  // namespace
}  // namespace alchemist
