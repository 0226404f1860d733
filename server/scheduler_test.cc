#include "server/scheduler.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(SchedulerTest, DecodesGoFirstAndPromptsShareTheRest) {
  const StepPlan plan =
      PlanStep({.rows_per_step = 10}, {{0, true}, {7, true}, {0, true}, {7, true}});
  EXPECT_EQ(plan.decode, (std::vector<int64_t>{0, 2}));
  ASSERT_EQ(plan.prefill.size(), 2u);
  EXPECT_EQ(plan.prefill[0].sequence, 1);
  EXPECT_EQ(plan.prefill[0].rows, 7);
  EXPECT_EQ(plan.prefill[1].rows, 1);
}

TEST(SchedulerTest, ASlowReaderStopsOnlyItsOwnSequence) {
  const StepPlan plan = PlanStep({.rows_per_step = 4}, {{0, false}, {0, true}});
  EXPECT_EQ(plan.decode, (std::vector<int64_t>{1}));
}

TEST(SchedulerTest, MoreDecodesThanRowsStillAllDecode) {
  const StepPlan plan =
      PlanStep({.rows_per_step = 2}, {{0, true}, {0, true}, {0, true}, {5, true}});
  EXPECT_EQ(plan.decode.size(), 3u);
  EXPECT_TRUE(plan.prefill.empty());
}

TEST(SchedulerTest, NothingToDoIsAnEmptyPlan) {
  EXPECT_TRUE(PlanStep({}, {}).empty());
  EXPECT_TRUE(PlanStep({}, {{0, false}}).empty());
}

}  // namespace
}  // namespace alchemist
