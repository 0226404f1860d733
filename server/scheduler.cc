#include "server/scheduler.h"

#include <algorithm>

namespace alchemist {

StepPlan PlanStep(const SchedulerLimits& limits, const std::vector<RunningSequence>& running) {
  StepPlan plan;
  for (size_t i = 0; i < running.size(); ++i) {
    if (running[i].prompt_rows_left == 0 && running[i].has_room) {
      plan.decode.push_back(static_cast<int64_t>(i));
    }
  }
  int64_t rows_left = limits.rows_per_step - static_cast<int64_t>(plan.decode.size());
  for (size_t i = 0; i < running.size() && rows_left > 0; ++i) {
    const int64_t rows = std::min(running[i].prompt_rows_left, rows_left);
    if (rows == 0) continue;
    plan.prefill.push_back({static_cast<int64_t>(i), rows});
    rows_left -= rows;
  }
  return plan;
}

}  // namespace alchemist
