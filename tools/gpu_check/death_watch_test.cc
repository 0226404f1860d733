// What follows from deaths that were watched; the watching itself is tested end to end.
#include "tools/gpu_check/death_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using testing::HasSubstr;

Death Clean() {
  Death death;
  death.is_listed = true;
  death.pidfd_us = 1000;
  death.driver_us = 2000;
  death.last_write_us = 900;
  return death;
}

CheckResult Judged(const std::vector<Death>& deaths) {
  CheckResult result;
  JudgeDeaths(deaths, "no NVML", result);
  return result;
}

TEST(DeathWatchTest, WritesThatEndBeforeBothSignsPass) {
  const CheckResult result = Judged({Clean(), Clean()});
  EXPECT_EQ(result.verdict, CheckVerdict::kPass);
  EXPECT_THAT(result.happened,
              HasSubstr("of 2 deaths, something was written in 0 after the pidfd"));
  EXPECT_THAT(result.consequence, HasSubstr("neither alone was too early here"));
  EXPECT_EQ(result.measurements.size(), 6U);
}

TEST(DeathWatchTest, OneWriteAfterThePidfdMakesItTooEarly) {
  Death late = Clean();
  late.wrote_after_pidfd = true;
  const CheckResult result = Judged({Clean(), late, Clean()});
  EXPECT_EQ(result.verdict, CheckVerdict::kPass);
  EXPECT_THAT(result.happened,
              HasSubstr("of 3 deaths, something was written in 1 after the pidfd"));
  EXPECT_THAT(result.consequence, HasSubstr("the pidfd alone is too early"));
}

TEST(DeathWatchTest, AWriteAfterBothSignsFails) {
  Death late = Clean();
  late.wrote_after_pidfd = late.wrote_after_driver = true;
  EXPECT_EQ(Judged({Clean(), late}).verdict, CheckVerdict::kFail);
}

// The driver's sign came first: what was written between the two was not written after both.
TEST(DeathWatchTest, AWriteBetweenTheSignsIsNotAfterBoth) {
  Death between = Clean();
  between.wrote_after_driver = true;
  EXPECT_EQ(Judged({between}).verdict, CheckVerdict::kPass);
  EXPECT_THAT(Judged({between}).consequence, HasSubstr("the driver's list alone is too early"));
}

TEST(DeathWatchTest, ASignThatNeverComesFails) {
  Death hangs = Clean();
  hangs.pidfd_us.reset();
  EXPECT_EQ(Judged({Clean(), hangs}).verdict, CheckVerdict::kFail);
  Death kept = Clean();
  kept.driver_us.reset();
  const CheckResult result = Judged({kept});
  EXPECT_EQ(result.verdict, CheckVerdict::kFail);
  EXPECT_THAT(result.happened, HasSubstr("in 1 an end was not seen"));
}

TEST(DeathWatchTest, WhereTheDriverListsNobodyThePidfdIsMeasuredAlone) {
  Death unlisted;
  unlisted.pidfd_us = 1000;
  EXPECT_EQ(Judged({unlisted}).verdict, CheckVerdict::kMeasured);
  EXPECT_THAT(Judged({unlisted}).happened,
              HasSubstr("the driver's list was not to be had: no NVML"));
  Death late = unlisted;
  late.wrote_after_pidfd = true;
  EXPECT_EQ(Judged({unlisted, late}).verdict, CheckVerdict::kFail);
}

}  // namespace
}  // namespace alchemist
