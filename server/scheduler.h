// The scheduler: a pure function from what is running and waiting to the next step's rows.
#ifndef ALCHEMIST_SERVER_SCHEDULER_H_
#define ALCHEMIST_SERVER_SCHEDULER_H_

#include <cstdint>
#include <vector>

namespace alchemist {

struct SchedulerLimits {
  int64_t rows_per_step = 512;  // Decode rows first, then prompt rows up to this many.
};

// A running sequence, in order of admission.
struct RunningSequence {
  int64_t prompt_rows_left = 0;  // 0: it decodes.
  bool has_room = true;          // Its reader keeps up; otherwise it waits.
};

struct StepPlan {
  std::vector<int64_t> decode;  // Indices of sequences that decode one token.
  struct Prefill {
    int64_t sequence = 0;
    int64_t rows = 0;
  };
  std::vector<Prefill> prefill;

  bool empty() const { return decode.empty() && prefill.empty(); }
};

// Decodes never wait for a prompt; prompts share what is left of the step in order of admission.
StepPlan PlanStep(const SchedulerLimits& limits, const std::vector<RunningSequence>& running);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SCHEDULER_H_
