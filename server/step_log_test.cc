#include "server/step_log.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"

namespace alchemist {
namespace {

TEST(StepLogTest, ShowsStepsThenWaitsOldestFirst) {
  StepLog log;
  log.Add(StepLog::Wait{.end_us = 100, .us = 7});
  log.Add(StepLog::Step{.begin_us = 100, .us = 30, .decode_rows = 2, .prompt_rows = 512});
  log.Add(StepLog::Step{.begin_us = 140, .us = 5, .decode_rows = 3, .prompt_rows = 0});
  EXPECT_EQ(log.Text(), "step 100 30 2 512\nstep 140 5 3 0\nwait 100 7\n");
}

TEST(StepLogTest, ForgetsTheOldestBeyondItsBound) {
  StepLog log;
  for (size_t i = 0; i <= StepLog::kEntriesMax; ++i) {
    log.Add(StepLog::Step{.begin_us = static_cast<int64_t>(i)});
  }
  const std::string text = log.Text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), StepLog::kEntriesMax);
  EXPECT_TRUE(absl::StartsWith(text, "step 1 ")) << text.substr(0, 40);
}

}  // namespace
}  // namespace alchemist
