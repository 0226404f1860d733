#include "server/step_table.h"

#include <cmath>

#include "gtest/gtest.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

StepRow TestStep(int64_t step) {
  StepRow row;
  row.step = step;
  row.loss = 0.5;
  row.update_norm = 0.25;
  row.tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  row.recorded_unix_us = 99;
  return row;
}

absl::Status Record(FeedbackLog* log, const StepRow& row) {
  return Transact(log, [&](FeedbackLog& l) { return l.steps().Record(row); });
}

std::optional<StepRow> Last(FeedbackLog* log) {
  std::optional<StepRow> last;
  const absl::Status status = Transact(log, [&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(last, l.steps().Last());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return last;
}

TEST(StepTableTest, FollowsTheTrainersCheckpoints) {
  auto log = OpenLog(FreshDirectory());
  EXPECT_FALSE(Last(log.get()).has_value());
  for (int64_t step : {4, 8, 12}) ASSERT_TRUE(Record(log.get(), TestStep(step)).ok());
  EXPECT_EQ(Last(log.get())->step, 12);
  ASSERT_TRUE(Transact(log.get(), [](FeedbackLog& l) { return l.steps().RestartFrom(8); }).ok());
  const std::optional<StepRow> last = Last(log.get());
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->step, 8);
  EXPECT_EQ(last->loss, 0.5);
  EXPECT_EQ(last->update_norm, 0.25);
  EXPECT_EQ(last->tokens, TestStep(8).tokens);
  EXPECT_EQ(last->recorded_unix_us, 99);
}

TEST(StepTableTest, RefusesWhatIsNotFinite) {
  auto log = OpenLog(FreshDirectory());
  StepRow row = TestStep(1);
  row.loss = std::nan("");
  EXPECT_EQ(Record(log.get(), row).code(), absl::StatusCode::kInvalidArgument);
  row = TestStep(1);
  row.update_norm = INFINITY;
  EXPECT_EQ(Record(log.get(), row).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace alchemist
