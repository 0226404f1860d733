#include "tools/replay/replay_summary.h"

#include <utility>

#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

double Ms(int64_t us) { return static_cast<double>(us) / 1000; }

double TpotMs(const RequestOutcome& outcome) {
  return Ms(outcome.e2e_us - outcome.ttft_us) / static_cast<double>(outcome.answer_tokens - 1);
}

bool Meets(const RequestOutcome& outcome, const Slo& slo) {
  return Ms(outcome.ttft_us) <= slo.ttft_ms &&
         (outcome.answer_tokens < 2 || TpotMs(outcome) <= slo.tpot_ms);
}

Percentiles PercentilesOf(const std::vector<double>& values) {
  return {Percentile(values, 0.5), Percentile(values, 0.9), Percentile(values, 0.99)};
}

}  // namespace

double ReplaySummary::per_second(int64_t count) const {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

ReplaySummary Summarize(const std::vector<RequestOutcome>& outcomes, const Slo& slo,
                        double seconds) {
  ReplaySummary summary;
  summary.seconds = seconds;
  std::vector<double> ttft_ms, tpot_ms, e2e_ms, client_wait_ms;
  for (const RequestOutcome& outcome : outcomes) {
    client_wait_ms.push_back(Ms(outcome.client_wait_us));
    if (!outcome.status.ok()) {
      ++summary.failed;
      Failures& failures = summary.failures[absl::StatusCodeToString(outcome.status.code())];
      if (++failures.count == 1) failures.first_message = std::string(outcome.status.message());
      continue;
    }
    ++summary.completed;
    summary.prompt_tokens += outcome.prompt_tokens;
    summary.cached_tokens += outcome.cached_tokens;
    summary.answer_tokens += outcome.answer_tokens;
    ttft_ms.push_back(Ms(outcome.ttft_us));
    e2e_ms.push_back(Ms(outcome.e2e_us));
    if (outcome.answer_tokens >= 2) tpot_ms.push_back(TpotMs(outcome));
    if (Meets(outcome, slo)) ++summary.slo_met;
  }
  if (summary.prompt_tokens > 0) {
    summary.prefix_hit_share =
        static_cast<double>(summary.cached_tokens) / static_cast<double>(summary.prompt_tokens);
  }
  summary.ttft_ms = PercentilesOf(ttft_ms);
  summary.tpot_ms = PercentilesOf(tpot_ms);
  summary.e2e_ms = PercentilesOf(e2e_ms);
  summary.client_wait_ms = PercentilesOf(client_wait_ms);
  return summary;
}

}  // namespace alchemist
