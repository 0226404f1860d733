#include "kernels/logit_adjustments.h"

#include <algorithm>
#include <vector>

namespace alchemist {

void AdjustLogits(const LogitAdjustments& adjustments, absl::Span<const int32_t> prompt,
                  absl::Span<const int32_t> answer, absl::Span<float> logits) {
  for (const auto& [token, bias] : adjustments.bias) logits[token] += bias;
  if (!adjustments.penalises()) return;
  constexpr int32_t kUnused = -1;
  std::vector<int32_t> uses(logits.size(), kUnused);  // In the answer; 0: in the prompt alone.
  if (adjustments.repetition_penalty != 1) {
    for (const int32_t token : prompt) uses[token] = 0;
  }
  for (const int32_t token : answer) uses[token] = std::max(uses[token], 0) + 1;
  for (size_t token = 0; token < uses.size(); ++token) {
    if (uses[token] == kUnused) continue;
    double logit = logits[token];
    const double penalty = adjustments.repetition_penalty;
    logit = logit > 0 ? logit / penalty : logit * penalty;
    if (uses[token] > 0) {
      logit -= adjustments.presence_penalty + adjustments.frequency_penalty * uses[token];
    }
    logits[token] = static_cast<float>(logit);
  }
}

}  // namespace alchemist
