// RunResult: what one run of the quickstart measured. Plain values; any thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_RUN_RESULT_H_
#define ALCHEMIST_TOOLS_QUICKSTART_RUN_RESULT_H_

#include <cstdint>

namespace alchemist {

struct Score {
  int64_t right = 0;
  int64_t asked = 0;
  double accuracy() const {
    return asked == 0 ? 0 : static_cast<double>(right) / static_cast<double>(asked);
  }
};

// Prompt tokens of the trainer's passes: read from a record, or run again.
struct PassTokens {
  int64_t reused = 0;
  int64_t recomputed = 0;
};

struct RunResult {
  uint64_t seed = 0;
  // Facts whose answers clients corrected, and those left alone; several questions ask about each.
  int64_t facts_corrected = 0;
  int64_t facts_retained = 0;
  Score corrected_before;
  Score corrected_after;
  Score retained_before;
  Score retained_after;

  int64_t feedback_sent = 0;
  int64_t feedback_served = 0;  // All passes made, and in a published revision.
  int64_t facts_seen_right = 0;
  // From the acknowledgement of a fact's first correction to the first right answer in other words;
  // infinite where that never came.
  double feedback_to_served_seconds_p50 = 0;
  double feedback_to_served_seconds_p95 = 0;

  PassTokens first_pass;
  PassTokens later_passes;
  PassTokens replay;
  int64_t first_pass_beyond_drift = 0;  // Part of first_pass.recomputed.

  // Of the clients who keep asking, before the first correction and while training runs.
  double ttft_ms_p50_idle = 0;
  double ttft_ms_p50_training = 0;
  double ms_per_token_p50_idle = 0;
  double ms_per_token_p50_training = 0;

  int64_t steps = 0;
  int64_t revisions = 0;  // Published.
  double seconds = 0;     // The whole run.

  double retained_loss() const { return retained_before.accuracy() - retained_after.accuracy(); }
  int64_t tokens_reused() const { return first_pass.reused + later_passes.reused + replay.reused; }
  int64_t tokens_recomputed() const {
    return first_pass.recomputed + later_passes.recomputed + replay.recomputed;
  }
  double first_pass_reused_share() const {
    const int64_t all = first_pass.reused + first_pass.recomputed;
    return all == 0 ? 0 : static_cast<double>(first_pass.reused) / static_cast<double>(all);
  }
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_RUN_RESULT_H_
