#include "kernels/logit_adjustments.h"

#include <map>

namespace alchemist {

void AdjustLogits(const LogitAdjustments& adjustments, absl::Span<const int32_t> prompt,
                  absl::Span<const int32_t> answer, absl::Span<float> logits) {
  for (const auto& [token, bias] : adjustments.bias) logits[token] += bias;
  std::map<int32_t, int64_t> uses;  // In the answer; 0: in the prompt alone.
  if (adjustments.repetition_penalty != 1) {
    for (const int32_t token : prompt) uses[token] = 0;
  }
  for (const int32_t token : answer) ++uses[token];
  for (const auto& [token, count] : uses) {
    double logit = logits[token];
    const double penalty = adjustments.repetition_penalty;
    logit = logit > 0 ? logit / penalty : logit * penalty;
    if (count > 0) {
      logit -=
          adjustments.presence_penalty + adjustments.frequency_penalty * static_cast<double>(count);
    }
    logits[token] = static_cast<float>(logit);
  }
}

}  // namespace alchemist
