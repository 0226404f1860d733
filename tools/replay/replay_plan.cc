#include "tools/replay/replay_plan.h"

#include <algorithm>

#include "base/logging.h"
#include "base/random.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/poisson_load.h"

namespace alchemist {
namespace {

int64_t Scaled(int64_t length, double factor) {
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(length) * factor));
}

// Cuts `request` to `tokens_max` in all; whether it had to.
bool Cut(TraceRequest& request, int64_t tokens_max) {
  const int64_t tokens = request.prompt_tokens + request.answer_tokens;
  if (tokens <= tokens_max) return false;
  const double factor = static_cast<double>(tokens_max) / static_cast<double>(tokens);
  request.answer_tokens = std::min(Scaled(request.answer_tokens, factor), tokens_max - 1);
  request.prompt_tokens = tokens_max - request.answer_tokens;
  return true;
}

// Neighbouring ids must not make neighbouring streams: SplitMix64's are shifts of one another.
uint64_t SeedOf(uint64_t seed, int64_t id) {
  return Random(Random(seed).Next() + static_cast<uint64_t>(id)).Next();
}

}  // namespace

ReplayPlan PlanReplay(const Trace& trace, const ReplayScale& scale) {
  CHECK(scale.speedup > 0 && scale.per_second > 0 && scale.length_scale > 0);
  CHECK_GE(scale.request_tokens_max, 2);
  auto count = static_cast<int64_t>(trace.requests.size());
  if (scale.requests > 0) count = std::min(count, scale.requests);
  ReplayPlan plan;
  plan.requests.assign(trace.requests.begin(), trace.requests.begin() + count);
  if (!trace.has_arrivals) {
    const std::vector<int64_t> arrivals_us = PoissonArrivals(count, scale.per_second, scale.seed);
    for (int64_t i = 0; i < count; ++i) plan.requests[i].arrival_us = arrivals_us[i];
  }
  for (TraceRequest& request : plan.requests) {
    request.arrival_us =
        static_cast<int64_t>(static_cast<double>(request.arrival_us) / scale.speedup);
    request.prompt_tokens = Scaled(request.prompt_tokens, scale.length_scale);
    request.answer_tokens = Scaled(request.answer_tokens, scale.length_scale);
    if (Cut(request, scale.request_tokens_max)) ++plan.requests_cut;
  }
  return plan;
}

std::vector<int32_t> ReplayPrompt(const TraceRequest& request, int64_t index, int64_t vocab,
                                  double length_scale, uint64_t seed) {
  if (request.hash_ids.empty()) {
    return BenchPrompt(request.prompt_tokens, vocab, SeedOf(seed, index));
  }
  std::vector<int32_t> prompt;
  const auto blocks = static_cast<int64_t>(request.hash_ids.size());
  for (int64_t block = 0; block < blocks; ++block) {
    const auto begin = static_cast<int64_t>(prompt.size());
    int64_t end = Scaled((block + 1) * kTraceBlockTokens, length_scale);
    // What rounding leaves over belongs to the last block, which nothing follows.
    if (block + 1 == blocks || end > request.prompt_tokens) end = request.prompt_tokens;
    const std::vector<int32_t> tokens =
        BenchPrompt(end - begin, vocab, SeedOf(seed, request.hash_ids[block]));
    prompt.insert(prompt.end(), tokens.begin(), tokens.end());
  }
  return prompt;
}

}  // namespace alchemist
