// What became of one request of a replay, as its client saw it.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_OUTCOME_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_OUTCOME_H_

#include <cstdint>

#include "base/status.h"

namespace alchemist {

// Times count from when the request was due: what it waited in the client is part of them.
struct RequestOutcome {
  absl::Status status;         // The last try's.
  int64_t client_wait_us = 0;  // Until its thread sent it: woke up, and had a place in flight.
  // Those below are the answer's, and 0 unless `status` is OK.
  int64_t ttft_us = 0;  // Until the first token came.
  int64_t e2e_us = 0;   // Until the answer ended.
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // Of prompt_tokens: a recorded prefix, not run again.
  int64_t answer_tokens = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_OUTCOME_H_
