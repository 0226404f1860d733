// BatchLimits: how large a training batch is, when one that is not full goes, and how much of it is
// replay. Plain values and pure decisions; any thread.
#ifndef ALCHEMIST_TRAINER_BATCH_LIMITS_H_
#define ALCHEMIST_TRAINER_BATCH_LIMITS_H_

#include <cstdint>

#include "absl/types/span.h"

namespace alchemist {

struct BatchLimits {
  int64_t items_max = 12;              // Feedback items; replayed ones come on top.
  int64_t tokens_max = 4096;           // Of the feedback items, and of the replayed ones.
  int64_t replay_items_min = 200;      // Replayed items, even when there are fewer feedback items.
  int64_t step_interval_us = 500'000;  // A batch that is not full waits this long after a step.
  // Between two passes of one feedback item, so that those of others come between them: a few items
  // that are repeated by themselves are learned worse, and at the cost of what was known.
  int64_t pass_interval_us = 800'000;
};

// Whether an item may make a pass, which made `passes`, the last one so long ago.
bool PassIsDue(const BatchLimits& limits, int64_t passes, int64_t since_last_pass_us);

// Whether to make a step with `feedback_items` items of `feedback_tokens` together at hand. A batch
// that is full by either goes at once. Others wait for company: each step moves the weights as far
// as a full one does.
bool BatchIsDue(const BatchLimits& limits, int64_t feedback_items, int64_t feedback_tokens,
                int64_t since_last_step_us);

// How many replayed items to ask for, to join a batch of so many feedback items.
int64_t ReplayToAsk(const BatchLimits& limits, int64_t feedback_items);

// How many of the replayed items that came, in their order, join: at least as many as there are
// feedback items, and beyond those as many as fit tokens_max together.
int64_t ReplayToTake(const BatchLimits& limits, int64_t feedback_items,
                     absl::Span<const int64_t> tokens);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_BATCH_LIMITS_H_
