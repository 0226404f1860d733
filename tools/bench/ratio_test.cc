#include "tools/bench/ratio.h"

#include <gtest/gtest.h>

#include <vector>

namespace alchemist {
namespace {

const std::vector<double> kQuietA(10, 2.0);

// Nine ratios around `value`, none of which is far from it.
std::vector<double> RatiosAround(double value) {
  std::vector<double> ratios;
  for (int i = -4; i <= 4; ++i) ratios.push_back(value + 0.001 * i);
  return ratios;
}

TEST(RatioTest, TheMedianDoesNotSeeOnePairThatWentWrong) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({3, 1, 2, 100}), 2.5);
  EXPECT_EQ(Median({7}), 7);
}

// The bounds are those of the table of the sign test.
TEST(RatioTest, TheIntervalLeavesOutAsManyValuesAsTheSignTestAllows) {
  const auto interval_of = [](int count) {
    std::vector<double> values;
    for (int i = count; i >= 1; --i) values.push_back(i);
    return MedianInterval(values);
  };
  EXPECT_EQ(interval_of(1).low, 1);
  EXPECT_EQ(interval_of(5).low, 1);
  EXPECT_EQ(interval_of(5).high, 5);
  EXPECT_EQ(interval_of(8).low, 1);
  EXPECT_EQ(interval_of(9).low, 2);
  EXPECT_EQ(interval_of(9).high, 8);
  EXPECT_EQ(interval_of(12).low, 3);
  EXPECT_EQ(interval_of(12).high, 10);
  EXPECT_EQ(interval_of(25).low, 8);
}

TEST(RatioTest, ARatioIsTheMedianOfItsPairsAndAAgainstAIsOfAdjacentOnes) {
  const RatioEstimate estimate = EstimateRatio({1.5, 1.7, 1.6}, {1, 2, 2, 1});
  EXPECT_EQ(estimate.value, 1.6);
  EXPECT_EQ(estimate.spread.low, 1.5);
  EXPECT_EQ(estimate.spread.high, 1.7);
  EXPECT_EQ(estimate.a_over_a.low, 0.5);
  EXPECT_EQ(estimate.a_over_a.high, 2);
  EXPECT_EQ(estimate.pairs, 3);
}

TEST(RatioTest, ABoundIsMetOnItsOwnSideOnly) {
  const RatioEstimate above = EstimateRatio(RatiosAround(1.02), kQuietA);
  EXPECT_EQ(Judge(above, Bound::AtMost(1.03)), Verdict::kMet);
  EXPECT_EQ(Judge(above, Bound::AtMost(1.01)), Verdict::kMissed);
  EXPECT_EQ(Judge(above, Bound::AtLeast(0.9)), Verdict::kMet);
  EXPECT_EQ(Judge(above, Bound::AtLeast(1.1)), Verdict::kMissed);
  EXPECT_EQ(Judge(above, Bound()), Verdict::kNoTarget);
}

TEST(RatioTest, WhatAAgainstADoesByItselfIsNotProven) {
  const std::vector<double> unrest = {2.0, 2.1, 2.0, 2.1, 2.0, 2.1, 2.0, 2.1, 2.0, 2.1};
  const RatioEstimate estimate = EstimateRatio(RatiosAround(1.0), unrest);
  EXPECT_EQ(Judge(estimate, Bound::AtMost(1.03)), Verdict::kNoisy);
  EXPECT_EQ(Judge(estimate, Bound::AtLeast(0.6)), Verdict::kMet) << "a wide margin bears it";
}

TEST(RatioTest, FewerThanNinePairsProveNothing) {
  const std::vector<double> eight(8, 1.0), nine_of_a(9, 2.0);
  EXPECT_EQ(Judge(EstimateRatio(eight, nine_of_a), Bound::AtMost(1.1)), Verdict::kNoisy);
}

TEST(RatioTest, AnExactValueNeedsNoMargin) {
  EXPECT_EQ(JudgeExact(1, Bound::AtLeast(1)), Verdict::kMet);
  EXPECT_EQ(JudgeExact(0, Bound::AtLeast(1)), Verdict::kMissed);
  EXPECT_EQ(JudgeExact(1.03, Bound::AtMost(1.02)), Verdict::kMissed);
}

}  // namespace
}  // namespace alchemist
