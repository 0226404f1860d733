#include "tools/quickstart/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/quickstart/format.h"

namespace alchemist {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity.
Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json ToJson(const RunResult& run) {
  return {
      {"corrected_accuracy_before", run.corrected_before.accuracy()},
      {"corrected_accuracy_after", run.corrected_after.accuracy()},
      {"retained_accuracy_before", run.retained_before.accuracy()},
      {"retained_accuracy_after", run.retained_after.accuracy()},
      {"feedback_to_served_seconds_p50", NumberOrNull(run.feedback_to_served_seconds_p50)},
      {"feedback_to_served_seconds_p95", NumberOrNull(run.feedback_to_served_seconds_p95)},
      {"first_pass_prompt_tokens_reused_share", run.first_pass_reused_share()},
      {"tokens_reused", run.tokens_reused()},
      {"tokens_recomputed", run.tokens_recomputed()},
      {"first_pass_tokens_reused", run.first_pass.reused},
      {"first_pass_tokens_recomputed", run.first_pass.recomputed},
      {"first_pass_tokens_beyond_drift", run.first_pass_beyond_drift},
      {"later_pass_tokens_reused", run.later_passes.reused},
      {"later_pass_tokens_recomputed", run.later_passes.recomputed},
      {"replay_tokens_reused", run.replay.reused},
      {"replay_tokens_recomputed", run.replay.recomputed},
      {"ttft_ms_p50_idle", NumberOrNull(run.ttft_ms_p50_idle)},
      {"ttft_ms_p50_training", NumberOrNull(run.ttft_ms_p50_training)},
      {"ms_per_token_p50_idle", NumberOrNull(run.ms_per_token_p50_idle)},
      {"ms_per_token_p50_training", NumberOrNull(run.ms_per_token_p50_training)},
      {"revisions", run.revisions},
      {"steps", run.steps},
      {"facts_corrected", run.facts_corrected},
      {"facts_retained", run.facts_retained},
      {"facts_seen_right", run.facts_seen_right},
      {"feedback_sent", run.feedback_sent},
      {"feedback_served", run.feedback_served},
      {"seconds", run.seconds},
  };
}

// A row of two columns of figures; an empty figure leaves its column empty.
void AddRow(const std::string& label, const std::string& left, const std::string& right,
            std::string& text) {
  absl::StrAppendFormat(&text, "  %-46s %12s %12s\n", label, left, right);
}

void AddPasses(const std::string& label, const PassTokens& tokens, std::string& text) {
  AddRow(label, FormatCount(tokens.reused), FormatCount(tokens.recomputed), text);
}

std::string OutOf(const Score& score) { return absl::StrFormat("%.3f", score.accuracy()); }

}  // namespace

std::string ReportJson(absl::Span<const RunResult> runs,
                       absl::Span<const Expectation> expectations) {
  Json report = ToJson(WorstOf(runs));
  Json& all = report["runs"] = Json::array();
  for (const RunResult& run : runs) {
    Json entry = {{"seed", run.seed}};
    entry.update(ToJson(run));
    all.push_back(std::move(entry));
  }
  Json& judged = report["expectations"] = nullptr;
  for (const Expectation& expectation : expectations) {
    judged.push_back({{"name", expectation.name},
                      {"expected", expectation.bound},
                      {"value", expectation.value},
                      {"met", expectation.met}});
  }
  return report.dump(2) + "\n";
}

std::string SummaryText(const std::string& title, const RunResult& result) {
  std::string text = absl::StrCat("\n", title, "\n\n");
  AddRow("accuracy, by questions in other words", "before", "after", text);
  AddRow(absl::StrCat("  ", result.facts_corrected, " corrected facts"),
         OutOf(result.corrected_before), OutOf(result.corrected_after), text);
  AddRow(absl::StrCat("  ", result.facts_retained, " untouched facts"),
         OutOf(result.retained_before), OutOf(result.retained_after), text);
  AddRow("from a feedback to a right answer, seconds", "p50", "p95", text);
  AddRow("  asked in other words", FormatNumber(result.feedback_to_served_seconds_p50),
         FormatNumber(result.feedback_to_served_seconds_p95), text);
  AddRow("prompt tokens of training", "reused", "recomputed", text);
  AddPasses("  first passes", result.first_pass, text);
  AddPasses("    of these older than --drift_max allows",
            {.reused = 0, .recomputed = result.first_pass_beyond_drift}, text);
  AddPasses("  later passes", result.later_passes, text);
  AddPasses("  replayed answers", result.replay, text);
  AddRow("serving, median", "not training", "training", text);
  AddRow("  milliseconds to the first token", FormatNumber(result.ttft_ms_p50_idle),
         FormatNumber(result.ttft_ms_p50_training), text);
  AddRow("  milliseconds for each further token", FormatNumber(result.ms_per_token_p50_idle),
         FormatNumber(result.ms_per_token_p50_training), text);
  absl::StrAppendFormat(&text,
                        "  %s feedback, %s of it served; %s steps, %s revisions, %.0f seconds\n",
                        FormatCount(result.feedback_sent), FormatCount(result.feedback_served),
                        FormatCount(result.steps), FormatCount(result.revisions), result.seconds);
  return text;
}

std::string VerdictText(absl::Span<const Expectation> expectations) {
  if (expectations.empty()) {
    return "\nNothing is expected of this model: its figures are not judged.\n";
  }
  std::string text = "\n";
  for (const Expectation& expectation : expectations) {
    absl::StrAppendFormat(&text, "  %-6s %-46s %12s   expected: %s\n",
                          expectation.met ? "met" : "MISSED", expectation.name, expectation.value,
                          expectation.bound);
  }
  return text;
}

}  // namespace alchemist
