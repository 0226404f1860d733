// What is seen of an importer's death while its kernel writes to a shared arena, and what follows.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_DEATH_WATCH_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_DEATH_WATCH_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "tools/gpu_check/check.h"
#include "tools/gpu_check/check_run.h"
#include "tools/gpu_check/shared_arena.h"

namespace alchemist {

// In microseconds since the kill.
struct Death {
  bool is_listed = false;            // By the driver, while the process lived.
  std::optional<int64_t> pidfd_us;   // It was readable. None: not within ten seconds.
  std::optional<int64_t> driver_us;  // The driver listed the process no more. Likewise.
  int64_t last_write_us = 0;         // Seen then, and so made before.
  // Between two reads that both came after it. (A write that is seen after an end may have been
  // made before it.)
  bool wrote_after_pidfd = false;
  bool wrote_after_driver = false;
};

// Has the importer run `count` kernels of `ms`, and returns once the first one is seen to write.
absl::Status StartBeating(CheckRun& run, SharedArena& arena, int64_t ms, int count);
// Waits until nothing has been written for a while; when the last write was seen, in microseconds
// from now.
absl::StatusOr<int64_t> WatchBeatsEnd(CheckRun& run, AgentProcess& exporter);

// Kills the importer while its kernel is at work, and watches until all ends were seen or can no
// longer be.
absl::StatusOr<Death> WatchDeath(CheckRun& run, SharedArena& arena);

// The verdict over several deaths; `why_unlisted` counts only if one was not listed. Pure.
// REQUIRES: there is one.
void JudgeDeaths(absl::Span<const Death> deaths, absl::string_view why_unlisted,
                 CheckResult& result);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_DEATH_WATCH_H_
