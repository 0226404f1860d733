#include "tools/replay/replay_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tools/quickstart/format.h"

namespace alchemist {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kLabelled[] = "  %-28s ";

void AddLine(absl::string_view label, absl::string_view value, std::string& text) {
  absl::StrAppendFormat(&text, kLabelled, label);
  absl::StrAppend(&text, value, "\n");
}

std::string Measured(double value) { return std::isfinite(value) ? FormatNumber(value) : "-"; }

void AddPercentiles(absl::string_view label, const Percentiles& values, std::string& text) {
  AddLine(label,
          absl::StrFormat("%10s %10s %10s", Measured(values.p50), Measured(values.p90),
                          Measured(values.p99)),
          text);
}

std::string TokensText(int64_t tokens, const ReplaySummary& summary) {
  return absl::StrFormat("%s (%.1f/s)", FormatCount(tokens), summary.per_second(tokens));
}

// Of the requests that ended: whether the rest would have met the SLO, nobody knows.
double SloMetShare(const ReplaySummary& summary) {
  const int64_t ended = summary.completed + summary.failed;
  return ended == 0 ? 0 : static_cast<double>(summary.slo_met) / static_cast<double>(ended);
}

std::string Heading(const ReplayOptions& options, const ReplayResult& result) {
  const ReplayScale& scale = options.scale;
  std::string text = absl::StrFormat(
      "%s to %s (%s), %.1f s%s: speedup %g, length_scale %g, seed %d, at most %d in flight\n",
      options.trace, options.server, result.model_name, result.summary.seconds,
      result.unfinished() > 0 ? " until stopped" : "", scale.speedup, scale.length_scale,
      scale.seed, options.concurrency_max);
  if (result.requests_cut > 0) {
    absl::StrAppend(&text, "  ", FormatCount(result.requests_cut), " of ",
                    FormatCount(result.requests), " requests were cut to the ",
                    FormatCount(result.request_tokens_max), " tokens that the server takes\n");
  }
  return text;
}

// JSON has no infinity.
Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json PercentilesJson(const Percentiles& values) {
  return {{"p50", NumberOrNull(values.p50)},
          {"p90", NumberOrNull(values.p90)},
          {"p99", NumberOrNull(values.p99)}};
}

Json ParamsJson(const ReplayOptions& options) {
  return {{"requests", options.scale.requests},
          {"speedup", options.scale.speedup},
          {"rate", options.scale.per_second},
          {"length_scale", options.scale.length_scale},
          {"concurrency_max", options.concurrency_max},
          {"retries_max", options.retries_max},
          {"timeout_seconds", options.timeout_us / 1'000'000},
          {"session_id", options.session_id},
          {"seed", options.scale.seed}};
}

}  // namespace

std::string ReplayTable(const ReplayOptions& options, const ReplayResult& result) {
  const ReplaySummary& summary = result.summary;
  std::string text = Heading(options, result);
  AddLine("requests",
          absl::StrFormat("%d: %d completed, %d failed, %d unfinished; %d retries", result.requests,
                          summary.completed, summary.failed, result.unfinished(), result.retries),
          text);
  for (const auto& [code, failures] : summary.failures) {
    AddLine(absl::StrCat("failed, ", code),
            absl::StrCat(failures.count, "; the first: ", failures.first_message), text);
  }
  AddLine("prompt tokens", TokensText(summary.prompt_tokens, summary), text);
  AddLine("answer tokens", TokensText(summary.answer_tokens, summary), text);
  AddLine("prefix hits",
          absl::StrFormat("%.1f%% of the prompt tokens", 100 * summary.prefix_hit_share), text);
  AddLine("ms", absl::StrFormat("%10s %10s %10s", "p50", "p90", "p99"), text);
  AddPercentiles("wait in the client", summary.client_wait_ms, text);
  AddPercentiles("time to first token", summary.ttft_ms, text);
  AddPercentiles("time per further token", summary.tpot_ms, text);
  AddPercentiles("end to end", summary.e2e_ms, text);
  AddLine("goodput",
          absl::StrFormat(
              "%.3g requests/s, %.1f%% of those that ended, met the SLO: first token within %g ms, "
              "%g ms per further token",
              summary.per_second(summary.slo_met), 100 * SloMetShare(summary), options.slo.ttft_ms,
              options.slo.tpot_ms),
          text);
  return text;
}

std::string ReplayJson(const ReplayOptions& options, const ReplayResult& result) {
  const ReplaySummary& summary = result.summary;
  Json failures = Json::object();
  for (const auto& [code, of_code] : summary.failures) {
    failures[code] = {{"count", of_code.count}, {"first_message", of_code.first_message}};
  }
  const Json json = {
      {"trace", options.trace},
      {"server", options.server},
      {"served_model_name", result.model_name},
      {"max_request_tokens", result.request_tokens_max},
      {"params", ParamsJson(options)},
      {"seconds", summary.seconds},
      {"requests", result.requests},
      {"cut", result.requests_cut},
      {"completed", summary.completed},
      {"failed", summary.failed},
      {"unfinished", result.unfinished()},
      {"retries", result.retries},
      {"failures", std::move(failures)},
      {"prompt_tokens", summary.prompt_tokens},
      {"cached_tokens", summary.cached_tokens},
      {"answer_tokens", summary.answer_tokens},
      {"prompt_tokens_per_second", summary.per_second(summary.prompt_tokens)},
      {"answer_tokens_per_second", summary.per_second(summary.answer_tokens)},
      {"prefix_hit_share", summary.prefix_hit_share},
      {"client_wait_ms", PercentilesJson(summary.client_wait_ms)},
      {"ttft_ms", PercentilesJson(summary.ttft_ms)},
      {"tpot_ms", PercentilesJson(summary.tpot_ms)},
      {"e2e_ms", PercentilesJson(summary.e2e_ms)},
      {"slo", {{"ttft_ms", options.slo.ttft_ms}, {"tpot_ms", options.slo.tpot_ms}}},
      {"slo_met", summary.slo_met},
      {"slo_met_share", SloMetShare(summary)},
      {"goodput_requests_per_second", summary.per_second(summary.slo_met)},
  };
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace alchemist
