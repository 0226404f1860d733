#include "tools/gpu_check/report.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/gpu_check/catalogue.h"
#include "tools/gpu_check/exit_code.h"
#include "tools/gpu_check/measurement_text.h"
#include "tools/gpu_check/wrapped_text.h"

namespace alchemist {
namespace {

constexpr int kVerdictColumns = 8;
constexpr int kBodyIndent = 2 + kVerdictColumns + 2;

int64_t CountOf(const GpuReport& report, CheckVerdict verdict) {
  return std::count_if(report.results.begin(), report.results.end(),
                       [&](const CheckResult& result) { return result.verdict == verdict; });
}

std::string Padding(int columns, absl::string_view text) {
  return std::string(std::max(0, columns - ColumnsOf(text)), ' ');
}

std::string HeadText(const GpuReport& report) {
  std::vector<std::pair<std::string, std::string>> fields = report.machine;
  fields.emplace_back("command", report.command);
  int name_columns = 0;
  for (auto& [name, value] : fields) {
    name = OneLine(name);
    name_columns = std::max(name_columns, ColumnsOf(name));
  }
  std::string text = WrappedText(
      "", 2, absl::StrCat("alchemist-gpu-check, ", report.form, " form, ", report.date));
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&text, WrappedText(absl::StrCat("  ", name, Padding(name_columns + 2, name)),
                                       2 + name_columns + 2, value));
  }
  return text;
}

std::string ResultText(const CheckResult& result) {
  const absl::string_view verdict = VerdictWord(result.verdict);
  std::string text =
      WrappedText(absl::StrCat("  ", verdict, Padding(kVerdictColumns + 2, verdict)), kBodyIndent,
                  absl::StrFormat("%s: %s (%.1f s)", result.id, result.question, result.seconds));
  const auto add = [&](absl::string_view label, absl::string_view content) {
    if (content.empty()) return;
    const std::string head = absl::StrCat(std::string(kBodyIndent + 2, ' '), label, " ");
    absl::StrAppend(&text, WrappedText(head, kBodyIndent + 4, content));
  };
  add("done:", result.done);
  add("happened:", result.happened);
  add("means:", result.consequence);
  return absl::StrCat(text, MeasurementText(result.measurements, kBodyIndent + 2));
}

std::string SummaryText(const GpuReport& report) {
  std::string text =
      absl::StrFormat("%d passed, %d failed, %d measured, %d not run in %s s\n",
                      CountOf(report, CheckVerdict::kPass), CountOf(report, CheckVerdict::kFail),
                      CountOf(report, CheckVerdict::kMeasured),
                      CountOf(report, CheckVerdict::kNotRun), NumberText(report.seconds));
  if (static_cast<int64_t>(report.results.size()) < report.planned) {
    absl::StrAppendFormat(&text, "the run was cut short: %d of %d were asked\n",
                          report.results.size(), report.planned);
  }
  std::vector<absl::string_view> failed;
  for (const CheckResult& result : report.results) {
    if (result.verdict == CheckVerdict::kFail) failed.push_back(result.id);
  }
  if (!failed.empty()) {
    absl::StrAppend(&text, WrappedText("failed: ", 8, absl::StrJoin(failed, ", ")));
  }
  return text;
}

}  // namespace

absl::string_view VerdictWord(CheckVerdict verdict) {
  switch (verdict) {
    case CheckVerdict::kPass:
      return "pass";
    case CheckVerdict::kFail:
      return "FAIL";
    case CheckVerdict::kMeasured:
      return "measured";
    case CheckVerdict::kNotRun:
      return "not run";
  }
  return "";
}

std::string TableText(const GpuReport& report) {
  std::string text = absl::StrCat(HeadText(report), "\n");
  absl::string_view group;
  for (const CheckResult& result : report.results) {
    if (GroupOf(result.id) != group) {
      group = GroupOf(result.id);
      absl::StrAppend(&text, OneLine(group), "\n");
    }
    absl::StrAppend(&text, ResultText(result), "\n");
  }
  return absl::StrCat(text, SummaryText(report));
}

int ExitCodeOf(const GpuReport& report) {
  if (CountOf(report, CheckVerdict::kFail) > 0) return kExitFailed;
  const bool is_whole = static_cast<int64_t>(report.results.size()) >= report.planned;
  if (report.results.empty() || !is_whole || CountOf(report, CheckVerdict::kNotRun) > 0) {
    return kExitNotRun;
  }
  return kExitPassed;
}

}  // namespace alchemist
