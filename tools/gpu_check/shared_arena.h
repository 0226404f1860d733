// What most experiments begin with: an arena that one agent made and filled and another one mapped.
// One thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_SHARED_ARENA_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_SHARED_ARENA_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "tools/gpu_check/agent_process.h"
#include "tools/gpu_check/check_run.h"

namespace alchemist {

inline constexpr int kExportersSeed = 1;  // Of the pattern that the arena is filled with.
inline constexpr int kImportersSeed = 2;

struct ArenaShape {
  int chunks = 1;
  int64_t chunk_bytes = 0;
  bool read_only = false;  // In the importer.
};

struct SharedArena {
  std::unique_ptr<AgentProcess> exporter;
  std::unique_ptr<AgentProcess> importer;
  int64_t bytes = 0;
  int64_t create_us = 0;
  int64_t export_us = 0;
  int64_t import_us = 0;
  int64_t descriptors_open = 0;  // Of those that came to the importer, after its import.
};

absl::StatusOr<SharedArena> ShareArena(CheckRun& run, const ArenaShape& shape);
ArenaShape ArenaOf(const Form& form);  // Of the form's size, writable.

// Of the words in `agent`'s region `where` that should be `seed`'s pattern.
absl::StatusOr<int64_t> Mismatches(CheckRun& run, AgentProcess& agent, const std::string& where,
                                   int seed);

// Polls until the device has `bytes` free, as `onlooker` sees it; false when it does not get there
// within `timeout_us`.
absl::StatusOr<bool> WaitForBytesFree(CheckRun& run, AgentProcess& onlooker, int64_t bytes,
                                      int64_t timeout_us);

// Starts an importer that maps `arena`'s memory, in the place of the one that it had.
absl::Status ImportAgain(CheckRun& run, const ArenaShape& shape, SharedArena& arena);

// What the driver charges process `pid`; none where it does not list that process or does not say.
std::optional<double> ChargedMib(const CheckRun& run, pid_t pid);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_SHARED_ARENA_H_
