// What becomes of a question whose experiment fails, is cut off or cannot be made. No agent is
// started.
#include "tools/gpu_check/check_run.h"

#include "gtest/gtest.h"
#include "tools/gpu_check/checks.h"

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

absl::Status IsStopped(CheckRun& /*run*/, CheckResult& /*result*/) {
  return absl::CancelledError("stopped by a signal");
}

std::vector<CheckResult> Ask(const std::string& only, int64_t seconds_max,
                             const CheckFunctions& functions) {
  CheckRun run(OptionsWith(seconds_max));
  std::vector<std::string> heard;
  std::vector<CheckResult> results =
      RunChecks(run, *Select(only), functions,
                [&heard](const CheckResult& result) { heard.push_back(result.id); });
  EXPECT_EQ(heard.size(), results.size());
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

TEST(CheckRunTest, AStoppedExperimentIsNotRunAndNoFailure) {
  const auto results = Ask("sharing.import", 100, {{"sharing.import", IsStopped}});
  EXPECT_EQ(results[0].verdict, CheckVerdict::kNotRun);
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
