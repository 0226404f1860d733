#include "tools/quickstart/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/json.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;

RunResult Measured() {
  RunResult run;
  run.seed = 7;
  run.facts_corrected = 100;
  run.facts_retained = 400;
  run.corrected_before = {.right = 3, .asked = 300};
  run.corrected_after = {.right = 291, .asked = 300};
  run.retained_before = {.right = 1200, .asked = 1200};
  run.retained_after = {.right = 1188, .asked = 1200};
  run.feedback_to_served_seconds_p50 = 3.5;
  run.feedback_to_served_seconds_p95 = 8.25;
  run.first_pass = {.reused = 990, .recomputed = 10};
  run.first_pass_beyond_drift = 4;
  run.later_passes = {.reused = 5000, .recomputed = 600};
  run.replay = {.reused = 7000, .recomputed = 80};
  run.ttft_ms_p50_idle = 2;
  run.ttft_ms_p50_training = 2.5;
  run.ms_per_token_p50_idle = 0.5;
  run.ms_per_token_p50_training = 0.75;
  run.revisions = 40;
  return run;
}

nlohmann::json Parse(const std::string& text) {
  const auto report = ParseJson(text, "report");
  EXPECT_TRUE(report.ok()) << report.status();
  return report.value_or(nullptr);
}

TEST(ReportTest, TheNamedKeysHoldWhatWasMeasured) {
  const RunResult run = Measured();
  const nlohmann::json report = Parse(ReportJson({&run, 1}, Judge(run)));
  EXPECT_EQ(report["corrected_accuracy_before"], 0.01);
  EXPECT_EQ(report["corrected_accuracy_after"], 0.97);
  EXPECT_EQ(report["retained_accuracy_before"], 1.0);
  EXPECT_EQ(report["retained_accuracy_after"], 0.99);
  EXPECT_EQ(report["feedback_to_served_seconds_p50"], 3.5);
  EXPECT_EQ(report["first_pass_prompt_tokens_reused_share"], 0.99);
  EXPECT_EQ(report["tokens_reused"], 12990);
  EXPECT_EQ(report["tokens_recomputed"], 690);
  EXPECT_EQ(report["ttft_ms_p50_idle"], 2);
  EXPECT_EQ(report["ttft_ms_p50_training"], 2.5);
  EXPECT_EQ(report["revisions"], 40);
  EXPECT_EQ(report["expectations"].size(), Judge(run).size());
  EXPECT_TRUE(report["expectations"][0]["met"]);
}

TEST(ReportTest, OfSeveralRunsTheWorstStandsAboveAll) {
  RunResult other = Measured();
  other.seed = 8;
  other.corrected_after.right = 150;
  const RunResult runs[] = {Measured(), other};
  const nlohmann::json report = Parse(ReportJson(runs, {}));
  EXPECT_EQ(report["corrected_accuracy_after"], 0.5);
  ASSERT_EQ(report["runs"].size(), 2u);
  EXPECT_EQ(report["runs"][0]["seed"], 7);
  EXPECT_EQ(report["runs"][0]["corrected_accuracy_after"], 0.97);
  EXPECT_EQ(report["runs"][1]["seed"], 8);
  EXPECT_EQ(report["runs"][1]["corrected_accuracy_after"], 0.5);
  EXPECT_TRUE(report["expectations"].is_null()) << "not judged";
}

TEST(ReportTest, WhatNeverCameIsNull) {
  RunResult run = Measured();
  run.feedback_to_served_seconds_p95 = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(Parse(ReportJson({&run, 1}, {}))["feedback_to_served_seconds_p95"].is_null());
  EXPECT_THAT(SummaryText("seed 7", run), HasSubstr("never"));
}

TEST(ReportTest, TheSummaryTellsEveryFigure) {
  const std::string text = SummaryText("seed 7", Measured());
  for (const char* figure :
       {"seed 7", "100 corrected", "0.010", "0.970", "400 untouched", "1.000", "0.990", "3.500",
        "8.250", "990", "5,000", "600", "7,000", "2.500", "0.750", "40 revisions"}) {
    EXPECT_THAT(text, HasSubstr(figure)) << text;
  }
}

TEST(ReportTest, TheVerdictNamesWhatWasMissed) {
  RunResult run = Measured();
  EXPECT_THAT(VerdictText(Judge(run)), ::testing::Not(HasSubstr("MISSED")));
  run.corrected_after.right = 0;
  EXPECT_THAT(VerdictText(Judge(run)), HasSubstr("MISSED accuracy on corrected facts after"));
  EXPECT_THAT(VerdictText({}), HasSubstr("not judged"));
}

}  // namespace
}  // namespace alchemist
