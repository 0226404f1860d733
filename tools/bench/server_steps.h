// What the server says of its own engine steps (AdminService.Inspect("steps")). Pure functions; any
// thread.
#ifndef ALCHEMIST_TOOLS_BENCH_SERVER_STEPS_H_
#define ALCHEMIST_TOOLS_BENCH_SERVER_STEPS_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"

namespace alchemist {

struct ServerSteps {
  std::vector<double> step_ms;  // One per step.
  std::vector<double> wait_ms;  // One per request: until the step with its first rows began.
};

// Of the steps and waits in `text` that began or ended at `begin_us` (CLOCK_MONOTONIC) or later.
// InvalidArgument names a line that is neither.
absl::StatusOr<ServerSteps> ParseSteps(absl::string_view text, int64_t begin_us);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_SERVER_STEPS_H_
