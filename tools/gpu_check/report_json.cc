// ReportJson and ParseReport: one report.h, two sources, so that each is read at one sitting.
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "tools/gpu_check/report.h"

namespace alchemist {
namespace {

using nlohmann::ordered_json;

constexpr char kProgram[] = "alchemist-gpu-check";
constexpr int64_t kVersion = 1;
constexpr int64_t kResultsMax = 1000;

struct VerdictName {
  CheckVerdict verdict;
  absl::string_view name;
};
constexpr VerdictName kVerdictNames[] = {{CheckVerdict::kPass, "pass"},
                                         {CheckVerdict::kFail, "fail"},
                                         {CheckVerdict::kMeasured, "measured"},
                                         {CheckVerdict::kNotRun, "not_run"}};

std::string NameOf(CheckVerdict verdict) {
  for (const VerdictName& known : kVerdictNames) {
    if (known.verdict == verdict) return std::string(known.name);
  }
  return "";
}

ordered_json ResultJson(const CheckResult& result) {
  ordered_json measurements = ordered_json::array();
  for (const Measurement& measurement : result.measurements) {
    measurements.push_back(
        {{"name", measurement.name}, {"value", measurement.value}, {"unit", measurement.unit}});
  }
  return {{"id", result.id},
          {"question", result.question},
          {"done", result.done},
          {"happened", result.happened},
          {"verdict", NameOf(result.verdict)},
          {"consequence", result.consequence},
          {"measurements", std::move(measurements)},
          {"seconds", result.seconds}};
}

absl::Status ReadString(const JsonNode& object, absl::string_view key, std::string* value) {
  ASSIGN_OR_RETURN(const JsonNode node, object.Get(key));
  ASSIGN_OR_RETURN(*value, node.String());
  return absl::OkStatus();
}

absl::Status ReadNumber(const JsonNode& object, absl::string_view key, double* value) {
  ASSIGN_OR_RETURN(const JsonNode node, object.Get(key));
  *value = std::numeric_limits<double>::quiet_NaN();
  if (node.value().is_null()) return absl::OkStatus();
  constexpr double kMax = std::numeric_limits<double>::max();
  ASSIGN_OR_RETURN(*value, node.Number(-kMax, kMax));
  return absl::OkStatus();
}

absl::StatusOr<CheckVerdict> ParseVerdict(const JsonNode& node) {
  ASSIGN_OR_RETURN(const std::string name, node.String());
  for (const VerdictName& known : kVerdictNames) {
    if (known.name == name) return known.verdict;
  }
  return node.Invalid("must be \"pass\", \"fail\", \"measured\" or \"not_run\"");
}

absl::StatusOr<Measurement> ParseMeasurement(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly({"name", "value", "unit"}));
  Measurement measurement;
  RETURN_IF_ERROR(ReadString(node, "name", &measurement.name));
  RETURN_IF_ERROR(ReadNumber(node, "value", &measurement.value));
  RETURN_IF_ERROR(ReadString(node, "unit", &measurement.unit));
  return measurement;
}

absl::StatusOr<CheckResult> ParseResult(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly(
      {"id", "question", "done", "happened", "verdict", "consequence", "measurements", "seconds"}));
  CheckResult result;
  RETURN_IF_ERROR(ReadString(node, "id", &result.id));
  RETURN_IF_ERROR(ReadString(node, "question", &result.question));
  RETURN_IF_ERROR(ReadString(node, "done", &result.done));
  RETURN_IF_ERROR(ReadString(node, "happened", &result.happened));
  RETURN_IF_ERROR(ReadString(node, "consequence", &result.consequence));
  RETURN_IF_ERROR(ReadNumber(node, "seconds", &result.seconds));
  ASSIGN_OR_RETURN(const JsonNode verdict, node.Get("verdict"));
  ASSIGN_OR_RETURN(result.verdict, ParseVerdict(verdict));
  ASSIGN_OR_RETURN(const JsonNode measurements, node.Get("measurements"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> elements, measurements.Array());
  for (const JsonNode& element : elements) {
    ASSIGN_OR_RETURN(Measurement measurement, ParseMeasurement(element));
    result.measurements.push_back(std::move(measurement));
  }
  return result;
}

absl::Status ParseResults(const JsonNode& node, std::vector<CheckResult>* results) {
  ASSIGN_OR_RETURN(const std::vector<JsonNode> elements, node.Array());
  absl::flat_hash_set<std::string> ids;
  for (const JsonNode& element : elements) {
    ASSIGN_OR_RETURN(CheckResult result, ParseResult(element));
    if (!ids.insert(result.id).second) {
      return element.Invalid(absl::StrCat("has an id that is taken: \"", result.id, "\""));
    }
    results->push_back(std::move(result));
  }
  return absl::OkStatus();
}

// ParseJson sorts members by name, and the machine's have an order: `text`, which it has accepted,
// is read once more for that.
absl::Status ParseMachine(const JsonNode& node, absl::string_view text, GpuReport* report) {
  RETURN_IF_ERROR(node.ExpectObject());
  const ordered_json document = ordered_json::parse(text.begin(), text.end(), nullptr,
                                                    /*allow_exceptions=*/false);
  for (const auto& member : document.at("machine").items()) {
    std::string value;
    RETURN_IF_ERROR(ReadString(node, member.key(), &value));
    report->machine.emplace_back(member.key(), std::move(value));
  }
  return absl::OkStatus();
}

absl::Status CheckOrigin(const JsonNode& document) {
  ASSIGN_OR_RETURN(const JsonNode program, document.Get("program"));
  if (program.value() != kProgram) {
    return program.Invalid(absl::StrCat("must be \"", kProgram, "\""));
  }
  ASSIGN_OR_RETURN(const JsonNode version, document.Get("version"));
  return version.Integer(kVersion, kVersion).status();
}

}  // namespace

std::string ReportJson(const GpuReport& report) {
  ordered_json machine = ordered_json::object();
  for (const auto& [name, value] : report.machine) machine[name] = value;
  ordered_json results = ordered_json::array();
  for (const CheckResult& result : report.results) results.push_back(ResultJson(result));
  const ordered_json document = {
      {"program", kProgram},       {"version", kVersion},       {"date", report.date},
      {"form", report.form},       {"command", report.command}, {"machine", std::move(machine)},
      {"seconds", report.seconds}, {"planned", report.planned}, {"results", std::move(results)}};
  return absl::StrCat(document.dump(2, ' ', false, ordered_json::error_handler_t::replace), "\n");
}

absl::StatusOr<GpuReport> ParseReport(absl::string_view text, absl::string_view name) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, name));
  const JsonNode document(&json, absl::StrCat(name, ":"));
  RETURN_IF_ERROR(document.ExpectObject());
  RETURN_IF_ERROR(CheckOrigin(document));  // First: another version may have other fields.
  RETURN_IF_ERROR(document.AllowOnly({"program", "version", "date", "form", "command", "machine",
                                      "seconds", "planned", "results"}));
  GpuReport report;
  RETURN_IF_ERROR(ReadString(document, "date", &report.date));
  RETURN_IF_ERROR(ReadString(document, "form", &report.form));
  RETURN_IF_ERROR(ReadString(document, "command", &report.command));
  RETURN_IF_ERROR(ReadNumber(document, "seconds", &report.seconds));
  ASSIGN_OR_RETURN(const JsonNode planned, document.Get("planned"));
  ASSIGN_OR_RETURN(report.planned, planned.Integer(0, kResultsMax));
  ASSIGN_OR_RETURN(const JsonNode machine, document.Get("machine"));
  RETURN_IF_ERROR(ParseMachine(machine, text, &report));
  ASSIGN_OR_RETURN(const JsonNode results, document.Get("results"));
  RETURN_IF_ERROR(ParseResults(results, &report.results));
  return report;
}

}  // namespace alchemist
