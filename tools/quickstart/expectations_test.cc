#include "tools/quickstart/expectations.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace alchemist {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Meets every expectation, and most of them just so.
RunResult Good() {
  RunResult run;
  run.facts_corrected = 100;
  run.facts_retained = 300;
  run.corrected_before = {.right = 60, .asked = 300};
  run.corrected_after = {.right = 270, .asked = 300};
  run.retained_before = {.right = 990, .asked = 1000};
  run.retained_after = {.right = 970, .asked = 1000};
  run.feedback_to_served_seconds_p50 = 10;
  run.feedback_to_served_seconds_p95 = 20;
  run.first_pass = {.reused = 95, .recomputed = 5};
  run.seconds = 299;
  return run;
}

TEST(ExpectationsTest, AreMetAtTheirBounds) {
  for (const Expectation& expectation : Judge(Good())) {
    EXPECT_TRUE(expectation.met) << expectation.name << " " << expectation.value;
  }
  EXPECT_TRUE(AllMet(Judge(Good())));
}

TEST(ExpectationsTest, EachCanBeMissedAlone) {
  const std::function<void(RunResult&)> faults[] = {
      [](RunResult& run) { run.facts_corrected = 99; },
      [](RunResult& run) { run.facts_retained = 299; },
      [](RunResult& run) { run.corrected_before.right = 61; },
      [](RunResult& run) { run.corrected_after.right = 269; },
      [](RunResult& run) { run.retained_after.right = 959; },
      [](RunResult& run) { run.feedback_to_served_seconds_p50 = kInfinity; },
      [](RunResult& run) { run.first_pass = {.reused = 94, .recomputed = 6}; },
      [](RunResult& run) { run.seconds = 301; },
  };
  for (size_t i = 0; i < std::size(faults); ++i) {
    RunResult run = Good();
    faults[i](run);
    const std::vector<Expectation> expectations = Judge(run);
    ASSERT_EQ(expectations.size(), std::size(faults));
    for (size_t k = 0; k < expectations.size(); ++k) {
      EXPECT_EQ(expectations[k].met, k != i) << expectations[k].name;
    }
    EXPECT_FALSE(AllMet(expectations));
  }
}

TEST(ExpectationsTest, ARunThatMeasuredNothingMeetsLittle) {
  RunResult run;
  run.feedback_to_served_seconds_p50 = kInfinity;
  EXPECT_FALSE(AllMet(Judge(run)));
}

TEST(ExpectationsTest, TheWorstOfEachIsTaken) {
  RunResult slow = Good();
  slow.feedback_to_served_seconds_p50 = kInfinity;
  slow.ttft_ms_p50_training = 9;
  RunResult forgetful = Good();
  forgetful.retained_before = {.right = 1000, .asked = 1000};
  forgetful.retained_after = {.right = 950, .asked = 1000};
  forgetful.corrected_after = {.right = 280, .asked = 300};
  forgetful.revisions = -1;
  RunResult weak = Good();
  weak.corrected_after = {.right = 10, .asked = 300};
  weak.corrected_before = {.right = 70, .asked = 300};
  weak.retained_after = {.right = 960, .asked = 1000};  // Lowest but one; its loss is not the most.
  weak.retained_before = {.right = 970, .asked = 1000};
  weak.first_pass = {.reused = 1000, .recomputed = 900};
  const RunResult runs[] = {Good(), slow, forgetful, weak};
  const RunResult worst = WorstOf(runs);
  EXPECT_EQ(worst.feedback_to_served_seconds_p50, kInfinity);
  EXPECT_EQ(worst.ttft_ms_p50_training, 9);
  EXPECT_EQ(worst.retained_before.right, 1000);
  EXPECT_EQ(worst.retained_after.right, 950);
  EXPECT_EQ(worst.corrected_after.right, 10);
  EXPECT_EQ(worst.corrected_before.right, 70);
  EXPECT_EQ(worst.first_pass.reused, 1000);
  EXPECT_EQ(worst.revisions, -1);
}

}  // namespace
}  // namespace alchemist
