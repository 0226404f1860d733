// What a request wants changed of a row of logits before a token is drawn from it. Pure function;
// any thread.
#ifndef ALCHEMIST_KERNELS_LOGIT_ADJUSTMENTS_H_
#define ALCHEMIST_KERNELS_LOGIT_ADJUSTMENTS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace alchemist {

struct LogitAdjustments {
  std::vector<std::pair<int32_t, float>> bias = {};  // Added to the logit of a token.
  // > 0. The logit of each token that prompt or answer holds is divided by it, or multiplied when
  // it is negative (Keskar et al., "CTRL", 2019). 1: none.
  double repetition_penalty = 1;
  // Taken from the logit of each token that the answer holds: once, and once for every time.
  double presence_penalty = 0;
  double frequency_penalty = 0;

  bool penalises() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0;
  }
  bool any() const { return !bias.empty() || penalises(); }
};

// In the order of the fields: bias, then penalties. REQUIRES: all tokens are below logits.size().
void AdjustLogits(const LogitAdjustments& adjustments, absl::Span<const int32_t> prompt,
                  absl::Span<const int32_t> answer, absl::Span<float> logits);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LOGIT_ADJUSTMENTS_H_
