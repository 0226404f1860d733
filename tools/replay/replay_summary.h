// A replay's outcomes in figures: counts, tokens, percentiles of latencies, and goodput under an
// SLO. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_SUMMARY_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_SUMMARY_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "tools/replay/replay_outcome.h"

namespace alchemist {

// A service level objective: what a request must not exceed to count for goodput.
struct Slo {
  double ttft_ms = 0;
  double tpot_ms = 0;
};

// Nearest ranks; infinite where nothing was measured.
struct Percentiles {
  double p50 = std::numeric_limits<double>::infinity();
  double p90 = std::numeric_limits<double>::infinity();
  double p99 = std::numeric_limits<double>::infinity();
};

// Calls that failed with one status code.
struct Failures {
  int64_t count = 0;
  std::string first_message;
};

struct ReplaySummary {
  int64_t completed = 0;
  int64_t failed = 0;
  std::map<std::string, Failures> failures;  // By the code's name.

  // Of the completed requests.
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t answer_tokens = 0;
  double prefix_hit_share = 0;  // cached_tokens of prompt_tokens.
  Percentiles ttft_ms;
  Percentiles tpot_ms;  // Time per token after the first: a request's mean; of those with two.
  Percentiles e2e_ms;
  Percentiles client_wait_ms;  // Of all requests.

  int64_t slo_met = 0;  // Completed requests within the SLO. One token meets the tpot.
  double seconds = 0;   // From the start to the last end.
  double per_second(int64_t count) const;  // 0 when no time passed.
};

ReplaySummary Summarize(const std::vector<RequestOutcome>& outcomes, const Slo& slo,
                        double seconds);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_SUMMARY_H_
