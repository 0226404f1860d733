// What a replay sends and when: a trace's requests, their gaps and lengths scaled, cut to what the
// server takes; and the prompts themselves. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_PLAN_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_PLAN_H_

#include <cstdint>
#include <vector>

#include "tools/replay/trace.h"

namespace alchemist {

struct ReplayScale {
  int64_t requests = 0;            // So many of the trace, from its first on; 0: all.
  double speedup = 1;              // Gaps between requests are divided by it. > 0.
  double per_second = 1;           // Requests per second of a trace without arrivals. > 0.
  double length_scale = 1;         // All lengths are multiplied by it. > 0.
  int64_t request_tokens_max = 0;  // What the server takes of prompt and answer together. >= 2.
  uint64_t seed = 1;               // Of the arrivals of a trace without them, and of the prompts.
};

struct ReplayPlan {
  std::vector<TraceRequest> requests;  // As they are to be sent; arrival_us is when they are due.
  int64_t requests_cut = 0;            // Those that were longer than the server takes.
};

// Lengths are at least 1. A request above `request_tokens_max` is cut to it, prompt and answer by
// the same factor.
ReplayPlan PlanReplay(const Trace& trace, const ReplayScale& scale);

// The prompt of the plan's request `index`: `prompt_tokens` tokens in [0, vocab). Block i of the
// trace has the positions from i * kTraceBlockTokens * length_scale on, and its tokens are drawn by
// its hash id: two prompts agree on all blocks before the first whose ids differ, cut or not.
// Without hash ids prompts share nothing but by chance.
std::vector<int32_t> ReplayPrompt(const TraceRequest& request, int64_t index, int64_t vocab,
                                  double length_scale, uint64_t seed);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_PLAN_H_
