#include "tools/bench/server_steps.h"

#include <gtest/gtest.h>

namespace alchemist {
namespace {

TEST(ServerStepsTest, TakesWhatBeganSinceThen) {
  const auto steps = ParseSteps(
      "step 10 1000 0 20\nstep 50 30000 1 0\nstep 60 5000 1 0\nwait 49 9\nwait 50 7000\n", 50);
  ASSERT_TRUE(steps.ok()) << steps.status();
  EXPECT_EQ(steps->step_ms, (std::vector<double>{30, 5}));
  EXPECT_EQ(steps->wait_ms, (std::vector<double>{7}));
}

TEST(ServerStepsTest, AnotherLineIsAnError) {
  for (const char* line : {"step 10 1000", "wait 10", "wait x 1", "record 1 2"}) {
    EXPECT_EQ(ParseSteps(line, 0).status().code(), absl::StatusCode::kInvalidArgument) << line;
  }
}

}  // namespace
}  // namespace alchemist
