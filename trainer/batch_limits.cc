#include "trainer/batch_limits.h"

#include <algorithm>

namespace alchemist {

bool PassIsDue(const BatchLimits& limits, int64_t passes, int64_t since_last_pass_us) {
  return passes == 0 || since_last_pass_us >= limits.pass_interval_us;
}

bool BatchIsDue(const BatchLimits& limits, int64_t feedback_items, int64_t feedback_tokens,
                int64_t since_last_step_us) {
  if (feedback_items == 0) return false;
  const bool full = feedback_items >= limits.items_max || feedback_tokens >= limits.tokens_max;
  return full || since_last_step_us >= limits.step_interval_us;
}

int64_t ReplayToAsk(const BatchLimits& limits, int64_t feedback_items) {
  return std::max(limits.replay_items_min, feedback_items);
}

int64_t ReplayToTake(const BatchLimits& limits, int64_t feedback_items,
                     absl::Span<const int64_t> tokens) {
  int64_t taken = 0;
  int64_t tokens_taken = 0;
  for (const int64_t more : tokens) {
    tokens_taken += more;
    if (taken >= feedback_items && tokens_taken > limits.tokens_max) break;
    ++taken;
  }
  return taken;
}

}  // namespace alchemist
