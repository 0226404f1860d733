// What becomes of a question whose experiment fails, is cut off or cannot be made. No agent is
// started.
#include "tools/gpu_check/check_run.h"

#include <poll.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>

#include "gtest/gtest.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/stop.h"

namespace alchemist {
namespace {

CheckRun::Options OptionsWith(int64_t seconds_max) {
  CheckRun::Options options;
  options.nvml_library = "/nonexistent/libnvidia-ml.so.1";
  options.form = *FormNamed("tiny", int64_t{1} << 30);
  options.form.seconds_max = seconds_max;
  return options;
}

absl::Status Passes(CheckRun& /*run*/, CheckResult& result) {
  result.verdict = CheckVerdict::kPass;
  result.happened = "it was so";
  return absl::OkStatus();
}

absl::Status Fails(CheckRun& /*run*/, CheckResult& result) {
  result.verdict = CheckVerdict::kPass;
  result.happened = "it began well.";
  return absl::InternalError("it broke");
}

absl::Status LosesItsAgent(CheckRun& /*run*/, CheckResult& result) {
  result.consequence = "something about the GPU";
  return absl::UnavailableError("the process was killed by signal 9");
}

// Says what it saw when its agent no longer answered, because the time was over.
absl::Status RunsOutOfTime(CheckRun& run, CheckResult& result) {
  while (run.UsLeft() > 0) poll(nullptr, 0, 1);
  result.verdict = CheckVerdict::kFail;
  result.happened = "no answer within 0 ms";
  result.consequence = "a trainer's fault kills serving";
  AddMeasurement(result, "decoder_lives", 0, "yes");
  return absl::OkStatus();
}

absl::Status IsStopped(CheckRun& /*run*/, CheckResult& result) {
  raise(SIGTERM);
  result.verdict = CheckVerdict::kMeasured;
  result.happened = "refused: stopped by a signal";
  return absl::OkStatus();
}

std::vector<CheckResult> Ask(const std::string& only, int64_t seconds_max,
                             const CheckFunctions& functions) {
  CheckRun run(OptionsWith(seconds_max));
  std::vector<size_t> heard;
  std::vector<CheckResult> results = RunChecks(
      run, *Select(only), functions,
      [&heard](const std::vector<CheckResult>& so_far) { heard.push_back(so_far.size()); });
  EXPECT_EQ(heard.size(), results.size());
  EXPECT_EQ(heard.back(), results.size());
  return results;
}

TEST(CheckRunTest, AnErrorIsAFailedCheckThatKeepsWhatWasSeenBefore) {
  const auto results = Ask("sharing.import", 100, {{"sharing.import", Fails}});
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].verdict, CheckVerdict::kFail);
  EXPECT_EQ(results[0].happened, "it began well. Then: it broke");
  EXPECT_FALSE(results[0].consequence.empty());
}

TEST(CheckRunTest, WhatComesAfterTheDeadlineIsNotRunAndSaysSo) {
  const auto results = Ask("sharing.import,sharing.canary", 0,
                           {{"sharing.import", Passes}, {"sharing.canary", Passes}});
  ASSERT_EQ(results.size(), 2U);
  for (const CheckResult& result : results) {
    EXPECT_EQ(result.verdict, CheckVerdict::kNotRun);
    EXPECT_EQ(result.happened, "out of time: the tiny form has 0 s");
    EXPECT_FALSE(result.question.empty());
  }
}

TEST(CheckRunTest, WhatTheDeadlineCutsOffSaysNothingOfTheGpu) {
  const auto results = Ask("interference.fault", 1, {{"interference.fault", RunsOutOfTime}});
  EXPECT_EQ(results[0].verdict, CheckVerdict::kNotRun);
  EXPECT_EQ(results[0].happened, "out of time: the tiny form has 1 s");
  EXPECT_EQ(results[0].consequence, "");
  EXPECT_TRUE(results[0].measurements.empty());
  EXPECT_GE(results[0].seconds, 1);
}

TEST(CheckRunTest, ALostAgentIsAFailureOfTheExperimentNotAnAnswer) {
  const auto results = Ask("sharing.import", 100, {{"sharing.import", LosesItsAgent}});
  EXPECT_EQ(results[0].verdict, CheckVerdict::kFail);
  EXPECT_EQ(results[0].consequence, "not known: the experiment itself broke down");
}

// In a process of its own: nothing takes a stop back.
TEST(CheckRunDeathTest, WhatASignalCutsOffSaysNothingOfTheGpuAndNothingIsAskedAfterIt) {
  const auto stop_and_exit = [] {
    HandleStopSignals();
    const auto results = Ask("sharing.import,sharing.canary", 100,
                             {{"sharing.import", IsStopped}, {"sharing.canary", Passes}});
    for (const CheckResult& result : results) std::cerr << result.happened << ".";
    std::_Exit(results[0].verdict == CheckVerdict::kNotRun ? 0 : 1);
  };
  EXPECT_EXIT(stop_and_exit(), testing::ExitedWithCode(0),
              "stopped by a signal.stopped by a signal.");
}

TEST(CheckRunTest, EveryQuestionOfTheCatalogueHasItsExperiment) {
  const CheckFunctions functions = AllChecks();
  EXPECT_EQ(functions.size(), Catalogue().size());
  for (const CheckInfo& info : Catalogue()) EXPECT_EQ(functions.count(info.id), 1U) << info.id;
}

TEST(CheckRunTest, WithoutNvmlItSaysWhy) {
  const CheckRun run(OptionsWith(100));
  EXPECT_EQ(run.nvml(), nullptr);
  EXPECT_NE(run.nvml_error().find("/nonexistent/libnvidia-ml.so.1"), std::string::npos);
}

}  // namespace
}  // namespace alchemist
