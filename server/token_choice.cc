#include "server/token_choice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "kernels/log_prob.h"
#include "kernels/sampling.h"

namespace alchemist {
namespace {

bool Contains(absl::Span<const int32_t> tokens, int32_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

double UniformAt(uint64_t seed, int64_t position) {
  return Random(Random(seed).Next() + static_cast<uint64_t>(position)).Uniform();
}

}  // namespace

int32_t ChooseToken(const CompletionRequest& request, uint64_t seed,
                    absl::Span<const int32_t> answer, absl::Span<const float> logits,
                    absl::Span<const int32_t> eos_ids) {
  const int64_t tokens = static_cast<int64_t>(answer.size());
  const int64_t position = static_cast<int64_t>(request.prompt_tokens.size()) + tokens;
  const double uniform = UniformAt(seed, position);
  const bool may_end = tokens + 1 > request.min_tokens;
  if (may_end && !request.adjustments.any()) return SampleToken(logits, request.sampling, uniform);
  std::vector<float> adjusted(logits.begin(), logits.end());
  AdjustLogits(request.adjustments, request.prompt_tokens, answer, absl::MakeSpan(adjusted));
  if (!may_end) {
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    if (!request.ignore_eos) {
      for (const int32_t token : eos_ids) adjusted[token] = kNever;
    }
    for (const int32_t token : request.stop_token_ids) adjusted[token] = kNever;
  }
  return SampleToken(adjusted, request.sampling, uniform);
}

std::optional<FinishReason> EndOfAnswer(const CompletionRequest& request,
                                        absl::Span<const int32_t> answer,
                                        absl::Span<const int32_t> eos_ids) {
  if (Contains(request.stop_token_ids, answer.back())) return FinishReason::kStop;
  if (!request.ignore_eos && Contains(eos_ids, answer.back())) return FinishReason::kEos;
  if (static_cast<int64_t>(answer.size()) == request.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

TopLogprobs MostProbable(absl::Span<const float> logits, int64_t count) {
  const auto value = [&](int32_t token) {
    return std::isnan(logits[token]) ? -std::numeric_limits<float>::infinity() : logits[token];
  };
  std::vector<int32_t> tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  const auto end = tokens.begin() + std::min<int64_t>(count, static_cast<int64_t>(tokens.size()));
  std::partial_sort(tokens.begin(), end, tokens.end(), [&](int32_t a, int32_t b) {
    return value(a) != value(b) ? value(a) > value(b) : a < b;
  });
  TopLogprobs top;
  if (end == tokens.begin()) return top;
  const double log_sum = logits[tokens[0]] - LogSoftmaxAt(logits, tokens[0]);
  for (auto token = tokens.begin(); token != end; ++token) {
    top.token_ids.push_back(*token);
    top.logprobs.push_back(static_cast<float>(logits[*token] - log_sum));
  }
  return top;
}

}  // namespace alchemist
