#include "tools/bench/report.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/json.h"

namespace alchemist {
namespace {

BenchReport Report() {
  const std::vector<double> ratios(9, 0.7), a = {4, 4, 4, 4, 4, 4, 4, 4, 4, 4};
  BenchReport report;
  report.benchmark = "serve";
  report.machine = {{"cpu", "some CPU"}, {"threads", 2}};
  report.command = "alchemist_bench --benchmark=serve";
  report.rows = {
      RatioRow("quiet", EstimateRatio(ratios, a), Bound::AtLeast(0.6), {{"rows", 512}}),
      RatioRow("noisy", EstimateRatio({0.7}, {4, 4}), Bound::AtLeast(0.6), {}),
      ExactRow("bits", 1, "bool", Bound(), {}),
  };
  return report;
}

TEST(ReportTest, AnAbsoluteValueIsJudgedByBothEndsOfItsSpread) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 9};  // The spread is 2 to 8.
  const auto verdict = [&](double limit) {
    return AbsoluteRow("ms", values, "ms", Bound::AtMost(limit), {}).verdict;
  };
  EXPECT_EQ(verdict(8), Verdict::kMet);
  EXPECT_EQ(verdict(7.9), Verdict::kNoisy);
  EXPECT_EQ(verdict(1.9), Verdict::kMissed);
  EXPECT_EQ(AbsoluteRow("ms", {1, 1, 1}, "ms", Bound::AtMost(8), {}).verdict, Verdict::kNoisy);
}

TEST(ReportTest, JsonHasTheFixedFormWithNullsForWhatThereIsNot) {
  const auto json = ParseJson(ReportJson(Report()), "report");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->at("benchmark"), "serve");
  EXPECT_EQ(json->at("machine").at("cpu"), "some CPU");
  EXPECT_EQ(json->at("command"), "alchemist_bench --benchmark=serve");
  const auto& rows = json->at("rows");
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(rows[0].at("name"), "quiet");
  EXPECT_EQ(rows[0].at("value"), 0.7);
  EXPECT_EQ(rows[0].at("unit"), "ratio");
  EXPECT_EQ(rows[0].at("spread"), (std::vector<double>{0.7, 0.7}));
  EXPECT_EQ(rows[0].at("a_over_a"), (std::vector<double>{1, 1}));
  EXPECT_EQ(rows[0].at("noisy"), false);
  EXPECT_EQ(rows[0].at("verdict"), "met");
  EXPECT_EQ(rows[0].at("target"), ">= 0.6");
  EXPECT_EQ(rows[0].at("params").at("rows"), 512);
  EXPECT_EQ(rows[0].at("params").at("pairs"), 9);
  EXPECT_EQ(rows[1].at("noisy"), true);
  EXPECT_TRUE(rows[2].at("a_over_a").is_null());
  EXPECT_TRUE(rows[2].at("target").is_null());
}

TEST(ReportTest, TheTableShowsEachRowsVerdictAndFitsTheScreen) {
  BenchReport report = Report();
  for (int i = 0; i < 20; ++i) {
    report.rows[0].params["parameter_" + std::to_string(i)] = 0.123456 * i;
  }
  const std::string table = TableText(report);
  EXPECT_TRUE(absl::StrContains(table, "serve: alchemist_bench --benchmark=serve\n")) << table;
  EXPECT_TRUE(absl::StrContains(table, "parameter_19=2.3457")) << table;
  for (const char* verdict : {" met\n", " noisy\n", " -\n"}) {
    EXPECT_TRUE(absl::StrContains(table, verdict)) << verdict << " in\n" << table;
  }
  for (const absl::string_view line : absl::StrSplit(table, '\n')) EXPECT_LE(line.size(), 100);
}

}  // namespace
}  // namespace alchemist
