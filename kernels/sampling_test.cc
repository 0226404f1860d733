#include "kernels/sampling.h"

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr float kInfinity = INFINITY;

// The logits of given probabilities.
std::vector<float> LogitsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

// All tokens that some `uniform` draws.
std::set<int32_t> Drawn(const std::vector<float>& logits, const SamplingParams& params) {
  std::set<int32_t> tokens;
  for (int i = 0; i < 1000; ++i) tokens.insert(SampleToken(logits, params, i / 1000.0));
  return tokens;
}

TEST(SamplingTest, GreedyTakesTheSmallestIdAmongEquals) {
  EXPECT_EQ(SampleToken({1, 3, 2, 3}, {.temperature = 0}, 0.99), 1);
  EXPECT_EQ(SampleToken({NAN, -kInfinity, -5, NAN}, {.temperature = 0}, 0), 2);
  EXPECT_EQ(SampleToken({NAN, NAN}, {.temperature = 0}, 0), 0);
}

TEST(SamplingTest, UniformPicksByCumulativeProbability) {
  const std::vector<float> logits = LogitsOf({0.25, 0.5, 0.25});
  EXPECT_EQ(SampleToken(logits, {}, 0), 0);
  EXPECT_EQ(SampleToken(logits, {}, 0.249), 0);
  EXPECT_EQ(SampleToken(logits, {}, 0.251), 1);
  EXPECT_EQ(SampleToken(logits, {}, 0.749), 1);
  EXPECT_EQ(SampleToken(logits, {}, 0.751), 2);
  EXPECT_EQ(SampleToken(logits, {}, std::nextafter(1.0, 0.0)), 2);
}

TEST(SamplingTest, TopKKeepsTheMostProbableAndSmallerIdsAmongEquals) {
  const std::vector<float> logits = LogitsOf({0.1, 0.3, 0.2, 0.2, 0.2});
  EXPECT_EQ(Drawn(logits, {.top_k = 1}), (std::set<int32_t>{1}));
  EXPECT_EQ(Drawn(logits, {.top_k = 3}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(Drawn(logits, {.top_k = 5}), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(Drawn(logits, {.top_k = 1000}), (std::set<int32_t>{0, 1, 2, 3, 4}));
}

TEST(SamplingTest, MinPKeepsWhatIsProbableEnoughBesideTheMostProbable) {
  const std::vector<float> logits = LogitsOf({0.1, 0.4, 0.2, 0.3});
  EXPECT_EQ(Drawn(logits, {.min_p = 1}), (std::set<int32_t>{1}));
  EXPECT_EQ(Drawn(logits, {.min_p = 0.74}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Drawn(logits, {.min_p = 0.49}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(Drawn(logits, {.min_p = 0.01}), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(Drawn(logits, {.top_k = 2, .min_p = 0.49}), (std::set<int32_t>{1, 3}));
  // Of what min_p leaves, 0.9, the first two hold 0.7.
  EXPECT_EQ(Drawn(logits, {.top_p = 0.77, .min_p = 0.49}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Drawn(logits, {.top_p = 0.79, .min_p = 0.49}), (std::set<int32_t>{1, 2, 3}));
}

TEST(SamplingTest, TopPKeepsTheFewestThatReachIt) {
  const std::vector<float> logits = LogitsOf({0.1, 0.4, 0.2, 0.3});
  EXPECT_EQ(Drawn(logits, {.top_p = 0}), (std::set<int32_t>{1}));
  EXPECT_EQ(Drawn(logits, {.top_p = 0.39}), (std::set<int32_t>{1}));
  EXPECT_EQ(Drawn(logits, {.top_p = 0.41}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Drawn(logits, {.top_p = 0.69}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Drawn(logits, {.top_p = 0.71}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(Drawn(logits, {.top_p = 1}), (std::set<int32_t>{0, 1, 2, 3}));
}

// Of the top 2 (0.4, 0.3) the first has 4/7 of what is left.
TEST(SamplingTest, TopPCountsOverWhatTopKLeft) {
  const std::vector<float> logits = LogitsOf({0.1, 0.4, 0.2, 0.3});
  EXPECT_EQ(Drawn(logits, {.top_p = 0.57, .top_k = 2}), (std::set<int32_t>{1}));
  EXPECT_EQ(Drawn(logits, {.top_p = 0.58, .top_k = 2}), (std::set<int32_t>{1, 3}));
}

TEST(SamplingTest, WhatIsNotFiniteDoesNoHarm) {
  EXPECT_EQ(Drawn({NAN, 1, -kInfinity, 1, NAN}, {}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Drawn({NAN, 1, -kInfinity, 1, NAN}, {.top_p = 0.999, .top_k = 4}),
            (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Drawn({0, kInfinity, 5}, {}), (std::set<int32_t>{1}));
  EXPECT_EQ(Drawn({NAN, NAN, NAN}, {}), (std::set<int32_t>{0, 1, 2})) << "nothing to choose by";
  EXPECT_EQ(Drawn({1, 2, 3e38f, -3e38f}, {.temperature = 1e-300}), (std::set<int32_t>{2}));
}

// Pearson's statistic over many draws. Its expectation is the degrees of freedom k, its variance
// about 2k: five deviations above are the bound.
TEST(SamplingTest, DrawsFollowTheDistribution) {
  constexpr int kTokens = 40;
  constexpr int kDraws = 20'000;
  Random random(5);
  std::vector<float> logits;
  for (int i = 0; i < kTokens; ++i) logits.push_back(static_cast<float>(random.Normal()));
  for (double temperature : {0.5, 1.0, 2.0}) {
    std::vector<double> expected;
    double total = 0;
    for (float logit : logits) total += std::exp(logit / temperature);
    for (float logit : logits) expected.push_back(kDraws * std::exp(logit / temperature) / total);
    // Once in order of id, once by way of the sorted candidates (top_p that takes all but nothing).
    for (double top_p : {1.0, 1 - 1e-12}) {
      std::vector<int> count(kTokens, 0);
      for (int i = 0; i < kDraws; ++i) {
        const SamplingParams params = {.temperature = temperature, .top_p = top_p};
        ++count[SampleToken(logits, params, random.Uniform())];
      }
      double statistic = 0;
      for (int i = 0; i < kTokens; ++i) {
        statistic += (count[i] - expected[i]) * (count[i] - expected[i]) / expected[i];
      }
      const double freedom = kTokens - 1;
      EXPECT_LT(statistic, freedom + 5 * std::sqrt(2 * freedom)) << temperature << " " << top_p;
    }
  }
}

}  // namespace
}  // namespace alchemist
