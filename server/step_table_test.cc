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
  row.tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  row.recorded_unix_us = 99;
  return row;
}

absl::Status Record(FeedbackLog* log, const StepRow& row) {
  return Transact(log, [&](FeedbackLog& l) { return l.steps().Record(row); });
}

StepTotals Totals(FeedbackLog* log) {
  StepTotals totals;
  const absl::Status status = Transact(log, [&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(totals, l.steps().Totals());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return totals;
}

TEST(StepTableTest, SumsUpWhatTheSurvivingCheckpointsHold) {
  auto log = OpenLog(FreshDirectory());
  EXPECT_EQ(Totals(log.get()).steps, 0);
  EXPECT_EQ(Totals(log.get()).tokens, StepTokens());
  for (int64_t step : {4, 8, 12}) ASSERT_TRUE(Record(log.get(), TestStep(step)).ok());
  EXPECT_EQ(Totals(log.get()).steps, 12);
  ASSERT_TRUE(Transact(log.get(), [](FeedbackLog& l) { return l.steps().RestartFrom(8); }).ok());
  EXPECT_EQ(Totals(log.get()).steps, 8);
  EXPECT_EQ(Totals(log.get()).tokens, (StepTokens{2, 4, 6, 8, 10, 12, 14, 16, 18}));
  // Only the books changed since: the step is reported once more.
  StepRow again = TestStep(8);
  again.tokens = {};
  again.tokens.response_run = 1;
  again.tokens.response_reused = 8;
  ASSERT_TRUE(Record(log.get(), again).ok());
  EXPECT_EQ(Totals(log.get()).tokens, (StepTokens{2, 4, 6, 8, 10, 12, 14, 17, 26}));
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
