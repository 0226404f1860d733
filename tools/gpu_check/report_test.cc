// A recorded report and its table lie in testdata/. After a change of the table:
//   UPDATE_GOLDEN=1 bazel run //tools/gpu_check:report_test
#include "tools/gpu_check/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "tools/gpu_check/exit_code.h"

namespace alchemist {
namespace {

using nlohmann::json;

constexpr char kRecorded[] = "tools/gpu_check/testdata/recorded.json";
constexpr char kRecordedTable[] = "tools/gpu_check/testdata/recorded.txt";

std::string Contents(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

CheckResult Result(const std::string& id, CheckVerdict verdict) {
  return {.id = id,
          .question = "Does it?",
          .done = "Tried it.",
          .happened = "It did.",
          .verdict = verdict,
          .consequence = "It stays.",
          .measurements = {{"wait_us", 0.1, "us"}, {"copy_gb_s", 1e300, "GB/s"}},
          .seconds = 0.25};
}

GpuReport Report() {
  return {.date = "2020-02-02T02:02:02Z",
          .form = "long",
          .command = "alchemist-gpu-check --form=long",
          .machine = {{"UUID", "GPU-0"}, {"GPU", "Example GPU"}, {"CPU", ""}},
          .planned = 4,
          .results = {Result("sharing.import", CheckVerdict::kPass),
                      Result("sharing.canary", CheckVerdict::kFail),
                      Result("death.importer", CheckVerdict::kMeasured),
                      Result("death.exporter", CheckVerdict::kNotRun)},
          .seconds = 1.0 / 3};
}

TEST(ReportTest, ARecordedReportMakesTheRecordedTable) {
  const auto report = ParseReport(Contents(kRecorded), kRecorded);
  ASSERT_TRUE(report.ok()) << report.status();
  const std::string table = TableText(*report);
  const char* sources = std::getenv("BUILD_WORKSPACE_DIRECTORY");  // Set by `bazel run`.
  if (std::getenv("UPDATE_GOLDEN") != nullptr && sources != nullptr) {
    const auto written = ReplaceFile(absl::StrCat(sources, "/", kRecordedTable), table);
    ASSERT_TRUE(written.ok()) << written;
    return;
  }
  EXPECT_EQ(table, Contents(kRecordedTable))
      << "If this is meant: UPDATE_GOLDEN=1 bazel run //tools/gpu_check:report_test";
}

TEST(ReportTest, TheTableFitsTheScreenWhateverTheTextsAre) {
  GpuReport report = Report();
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "words of \u00b5 ", i, i % 9 ? " " : "\n");
  report.command = report.machine[0].second = text;
  for (CheckResult& result : report.results) {
    result.question = result.done = result.happened = result.consequence = text;
    result.measurements[0].unit = text;
  }
  const std::string table = TableText(report);
  for (const absl::string_view line : absl::StrSplit(table, '\n')) {
    int columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    EXPECT_LE(columns, 100) << line;
    EXPECT_FALSE(absl::EndsWith(line, " ")) << line;
  }
}

TEST(ReportTest, TheTableEndsWithTheCountsAndNamesWhatFailed) {
  GpuReport report = Report();
  EXPECT_TRUE(absl::EndsWith(TableText(report),
                             "\n1 passed, 1 failed, 1 measured, 1 not run in 0.3333 s\n"
                             "failed: sharing.canary\n"))
      << TableText(report);
  report.results.erase(report.results.begin() + 1);
  report.planned = 3;
  EXPECT_TRUE(absl::EndsWith(TableText(report),
                             "\n1 passed, 0 failed, 1 measured, 1 not run in 0.3333 s\n"))
      << TableText(report);
}

TEST(ReportTest, NumbersAreWrittenAsPeopleReadThem) {
  const auto text = [](double value) {
    CheckResult result = Result("a.b", CheckVerdict::kMeasured);
    result.measurements = {{"name", value, "unit"}};
    GpuReport report = Report();
    report.results = {result};
    const std::string table = TableText(report);
    const std::vector<std::string> parts = absl::StrSplit(table, "name  ");
    return std::string(*absl::StrSplit(parts.back(), " unit").begin());
  };
  EXPECT_EQ(text(0), "0");
  EXPECT_EQ(text(0.123456), "0.1235");
  EXPECT_EQ(text(12.3456), "12.35");
  EXPECT_EQ(text(1234.56), "1235");
  EXPECT_EQ(text(-123456.7), "-123457");
  EXPECT_EQ(text(2097152), "2097152") << "a count stays exact";
  EXPECT_EQ(text(0.0000012345), "1.234e-06");
  EXPECT_EQ(text(1e18), "1e+18");
  EXPECT_EQ(text(std::nan("")), "-");
}

TEST(ReportTest, JsonReadsBackAsTheSameReport) {
  const auto parsed = ParseReport(ReportJson(Report()), "report.json");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Report());
  EXPECT_EQ(ReportJson(*parsed), ReportJson(Report()));
  const auto empty = ParseReport(ReportJson({}), "report.json");
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(*empty, GpuReport());
}

TEST(ReportTest, JsonHasTheFixedForm) {
  const auto document = nlohmann::ordered_json::parse(ReportJson(Report()));
  std::vector<std::string> keys;
  for (const auto& member : document.items()) keys.push_back(member.key());
  EXPECT_EQ(keys, (std::vector<std::string>{"program", "version", "date", "form", "command",
                                            "machine", "seconds", "planned", "results"}));
  EXPECT_EQ(document["program"], "alchemist-gpu-check");
  EXPECT_EQ(document["version"], 1);
  EXPECT_EQ(document["machine"].dump(), R"({"UUID":"GPU-0","GPU":"Example GPU","CPU":""})");
  EXPECT_EQ(document["results"][0]["measurements"][0].dump(),
            R"({"name":"wait_us","value":0.1,"unit":"us"})");
  const char* verdicts[] = {"pass", "fail", "measured", "not_run"};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(document["results"][i]["verdict"], verdicts[i]);
}

TEST(ReportTest, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  GpuReport report = Report();
  report.machine[1] = {"G\xffPU", "Example\xc3"};
  report.results[0].happened = "\xf0\x9f it said";
  const auto parsed = ParseReport(ReportJson(report), "report.json");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->machine[1],
            std::make_pair(std::string("G\ufffdPU"), std::string("Example\ufffd")));
  EXPECT_EQ(parsed->results[0].happened, "\ufffd it said");
  EXPECT_TRUE(absl::StrContains(TableText(report), "it said"));
}

TEST(ReportTest, NumbersThatJsonCannotWriteReadBackAsNotANumber) {
  GpuReport report = Report();
  report.seconds = std::nan("");
  report.results[0].measurements[0].value = std::nan("");
  report.results[0].measurements[1].value = -std::numeric_limits<double>::infinity();
  const auto parsed = ParseReport(ReportJson(report), "report.json");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(std::isnan(parsed->seconds));
  EXPECT_TRUE(std::isnan(parsed->results[0].measurements[0].value));
  EXPECT_TRUE(std::isnan(parsed->results[0].measurements[1].value));
}

// The error of the document that `change` makes of a good one.
std::string ErrorAfter(const std::function<void(json&)>& change) {
  json document = json::parse(ReportJson(Report()));
  change(document);
  const auto report = ParseReport(document.dump(), "report.json");
  return report.ok() ? "none" : std::string(report.status().message());
}

// Calls visit(pointer, the path as errors write it) for every value inside `value`.
void VisitValues(const json& value, const json::json_pointer& pointer, const std::string& path,
                 const std::function<void(json::json_pointer, std::string)>& visit) {
  if (value.is_primitive()) return;
  for (const auto& member : value.items()) {
    if (value.is_array()) {
      const size_t index = std::stoul(member.key());
      visit(pointer / index, absl::StrCat(path, "[", index, "]"));
      VisitValues(member.value(), pointer / index, absl::StrCat(path, "[", index, "]"), visit);
    } else {
      const std::string below = absl::StrCat(path, path.empty() ? "" : ".", member.key());
      visit(pointer / member.key(), below);
      VisitValues(member.value(), pointer / member.key(), below, visit);
    }
  }
}

TEST(ReportTest, ARunThatWasCutShortSaysSo) {
  GpuReport report = Report();
  report.results = {Result("sharing.import", CheckVerdict::kPass)};
  EXPECT_THAT(TableText(report), testing::HasSubstr("the run was cut short: 1 of 4 were asked\n"));
  EXPECT_EQ(ExitCodeOf(report), kExitNotRun);
  report.planned = 1;
  EXPECT_THAT(TableText(report), testing::Not(testing::HasSubstr("cut short")));
  EXPECT_EQ(ExitCodeOf(report), kExitPassed);
}

TEST(ReportTest, AFieldOfAnotherTypeIsNamed) {
  int fields = 0;
  const auto visit = [&](const json::json_pointer& pointer, const std::string& path) {
    const std::string error = ErrorAfter([&](json& document) { document[pointer] = true; });
    EXPECT_TRUE(absl::StartsWith(error, absl::StrCat("report.json: ", path, " must be"))) << error;
    ++fields;
  };
  VisitValues(json::parse(ReportJson(Report())), json::json_pointer(), "", visit);
  EXPECT_EQ(fields, 9 + 3 + 4 * (1 + 8 + 2 * (1 + 3)));
}

TEST(ReportTest, AFieldThatIsMissingIsNamed) {
  const auto visit = [&](const json::json_pointer& pointer, const std::string& path) {
    if (absl::EndsWith(path, "]") || absl::StartsWith(path, "machine.")) return;
    const std::string error = ErrorAfter(
        [&](json& document) { document[pointer.parent_pointer()].erase(pointer.back()); });
    EXPECT_EQ(error, absl::StrCat("report.json: ", path, " is missing"));
  };
  VisitValues(json::parse(ReportJson(Report())), json::json_pointer(), "", visit);
}

TEST(ReportTest, AFieldThatIsNotKnownIsNamed) {
  EXPECT_EQ(ErrorAfter([](json& d) { d["colour"] = 1; }), "report.json: colour is not supported");
  EXPECT_EQ(ErrorAfter([](json& d) { d["results"][1]["colour"] = 1; }),
            "report.json: results[1].colour is not supported");
  EXPECT_EQ(ErrorAfter([](json& d) { d["results"][1]["measurements"][0]["colour"] = 1; }),
            "report.json: results[1].measurements[0].colour is not supported");
}

TEST(ReportTest, AnotherProgramVersionVerdictOrASecondResultOfAnIdIsRefused) {
  EXPECT_EQ(ErrorAfter([](json& d) { d["program"] = "alchemist_bench"; }),
            "report.json: program must be \"alchemist-gpu-check\"");
  EXPECT_EQ(ErrorAfter([](json& d) { d["version"] = 2, d["colour"] = 1; }),
            "report.json: version must be an integer between 1 and 1");
  EXPECT_EQ(ErrorAfter([](json& d) { d["results"][2]["verdict"] = "PASS"; }),
            "report.json: results[2].verdict must be \"pass\", \"fail\", \"measured\" or "
            "\"not_run\"");
  EXPECT_EQ(ErrorAfter([](json& d) { d["results"][3]["id"] = d["results"][0]["id"]; }),
            "report.json: results[3] has an id that is taken: \"sharing.import\"");
  EXPECT_EQ(ErrorAfter([](json& d) { d = json::array(); }), "report.json: must be an object");
  EXPECT_EQ(ParseReport("{", "report.json").status().message(), "report.json: not valid JSON");
}

TEST(ReportTest, TheExitCodeIsThatOfTheWorstThingThatHappened) {
  const auto code = [](std::vector<CheckVerdict> verdicts) {
    GpuReport report;
    for (const CheckVerdict verdict : verdicts) report.results.push_back(Result("a.b", verdict));
    return ExitCodeOf(report);
  };
  EXPECT_EQ(code({CheckVerdict::kPass, CheckVerdict::kMeasured}), kExitPassed);
  EXPECT_EQ(code({CheckVerdict::kFail, CheckVerdict::kNotRun}), kExitFailed);
  EXPECT_EQ(code({CheckVerdict::kNotRun, CheckVerdict::kFail}), kExitFailed);
  EXPECT_EQ(code({CheckVerdict::kPass, CheckVerdict::kNotRun}), kExitNotRun);
  EXPECT_EQ(code({}), kExitNotRun) << "nothing ran";
  EXPECT_EQ(
      (std::vector<int>{kExitPassed, kExitBadArguments, kExitFailed, kExitNoGpu, kExitNotRun}),
      (std::vector<int>{0, 1, 2, 3, 4}))
      << "scripts know them by number";
}

}  // namespace
}  // namespace alchemist
