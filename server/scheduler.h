// The scheduler: a pure function from what runs and how much memory is left to the next step: whose
// decode rows and prompt rows it runs, and who has to make room. Who is admitted is FairQueue's and
// kv_forecast.h's matter.
#ifndef ALCHEMIST_SERVER_SCHEDULER_H_
#define ALCHEMIST_SERVER_SCHEDULER_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace alchemist {

struct SchedulerLimits {
  int64_t rows_per_step = 512;  // Decode rows first, then prompt rows up to this many.
  // Prompt rows of a step that decodes, too: what answers wait for between two of their tokens. So
  // many of a prompt's first rows; later ones take longer, and there are fewer of them.
  int64_t prompt_rows_beside_decodes = 64;
  // What each token before it adds to the time of a row, as a part of that of a prompt's first row.
  double prompt_key_cost = 0;
};

// A preempted answer's tokens are run again in steps of at most so many rows for all requests: as
// decode rows, so that they get the bits that they had, and decode rows are slow in great numbers.
inline constexpr int64_t kResumeRowsMax = 32;

// Beside decodes a prompt goes on by at least so many rows.
inline constexpr int64_t kPromptRowsMin = 16;

// A running sequence, in order of admission.
struct RunningSequence {
  int64_t prompt_rows_left = 0;                                   // 0: it decodes.
  int64_t prompt_rows_max = std::numeric_limits<int64_t>::max();  // In this step.
  int64_t decode_rows_left = 0;  // Rows of its answer that are known and not run: 1, or more when
                                 // it was preempted.
  bool has_room = true;          // Its reader keeps up; otherwise it waits.
  int64_t first_position = 0;    // Of the next row.
  int64_t kv_pages = 0;          // Positions 0 .. 32 * kv_pages - 1 have memory.
  int64_t serving_pages = 0;     // Of them what a preemption gives back.
  std::string tenant = {};
  int32_t priority = 0;  // The smaller number goes first.
};

struct StepPlan {
  struct Part {
    int64_t sequence = 0;
    int64_t rows = 0;
    friend bool operator==(const Part&, const Part&) = default;
  };
  std::vector<int64_t> preempt;  // These give their serving pages back and wait again.
  std::vector<Part> decode;
  std::vector<Part> prefill;

  bool empty() const { return preempt.empty() && decode.empty() && prefill.empty(); }
};

// Decodes never wait for a prompt; prompts share what is left of the step, but at least one row: by
// turns of the tenants, of each its most urgent one first, and within a turn in order of admission.
// When decodes need more pages than `pages_free`, who waits for its reader gives them, the last
// admitted first; then the tenant that was admitted last: of its sequences the least urgent, and of
// those the last admitted. So whoever was admitted before
// all others of its tenant and priority goes on, and every request comes to its end. REQUIRES: any
// one sequence can grow to its end in the pages that it holds and that are free when it is alone.
StepPlan PlanStep(const SchedulerLimits& limits, int64_t pages_free,
                  const std::vector<RunningSequence>& running);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SCHEDULER_H_
