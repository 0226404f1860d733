#include "tools/bench/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace alchemist {
namespace {

constexpr size_t kColumns = 100;
constexpr char kIndent[] = "      ";

std::string BoundText(const Bound& bound) {
  if (bound.kind == Bound::Kind::kNone) return "-";
  return absl::StrFormat("%s %.4g", bound.kind == Bound::Kind::kAtLeast ? ">=" : "<=", bound.value);
}

std::string IntervalText(const Interval& interval) {
  return absl::StrFormat("%.4g .. %.4g", interval.low, interval.high);
}

std::string ParamText(const std::string& key, const BenchParams& value) {
  if (value.is_number_float()) return absl::StrFormat("%s=%.5g", key, value.get<double>());
  if (value.is_string()) return absl::StrCat(key, "=", value.get<std::string>());
  return absl::StrCat(key, "=", value.dump());
}

// "key=value, ..." in lines of at most kColumns, as far as single parameters allow.
std::string ParamLines(const BenchParams& params) {
  std::string text, line;
  for (const auto& [key, value] : params.items()) {
    const std::string param = ParamText(key, value);
    if (!line.empty() && sizeof(kIndent) + line.size() + param.size() + 2 > kColumns) {
      absl::StrAppend(&text, kIndent, line, ",\n");
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : ", ", param);
  }
  if (!line.empty()) absl::StrAppend(&text, kIndent, line, "\n");
  return text;
}

BenchParams IntervalJson(const Interval& interval) { return {interval.low, interval.high}; }

BenchParams RowJson(const BenchRow& row) {
  BenchParams json = {{"name", row.name},
                      {"value", row.value},
                      {"unit", row.unit},
                      {"spread", IntervalJson(row.spread)},
                      {"noisy", row.verdict == Verdict::kNoisy}};
  json["target"] = nullptr;
  if (row.bound.kind != Bound::Kind::kNone) json["target"] = BoundText(row.bound);
  json["a_over_a"] = nullptr;
  if (row.a_over_a) json["a_over_a"] = IntervalJson(*row.a_over_a);
  json["verdict"] = VerdictName(row.verdict);
  json["params"] = row.params;
  return json;
}

}  // namespace

std::string TableText(const BenchReport& report) {
  std::string text =
      absl::StrCat(report.benchmark, ": ", report.command, "\n", ParamLines(report.machine), "\n");
  absl::StrAppendFormat(&text, "%-32s %9s %9s %19s %19s  %s\n", "row", "target", "value", "spread",
                        "A against A", "");
  for (const BenchRow& row : report.rows) {
    absl::StrAppendFormat(&text, "%-32s %9s %9.4g %19s %19s  %s\n", row.name, BoundText(row.bound),
                          row.value, IntervalText(row.spread),
                          row.a_over_a ? IntervalText(*row.a_over_a) : "-",
                          VerdictName(row.verdict));
    absl::StrAppend(&text, ParamLines(row.params));
  }
  return text;
}

std::string ReportJson(const BenchReport& report) {
  BenchParams rows = BenchParams::array();
  for (const BenchRow& row : report.rows) rows.push_back(RowJson(row));
  const BenchParams json = {{"benchmark", report.benchmark},
                            {"machine", report.machine},
                            {"command", report.command},
                            {"rows", std::move(rows)}};
  return json.dump(2) + "\n";
}

}  // namespace alchemist
