// A whole replay: reads the trace, asks the server what it takes, sends the requests when they are
// due, and sums up. One thread calls.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_RUN_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_RUN_H_

#include <atomic>
#include <functional>
#include <string>

#include "base/status.h"
#include "tools/replay/replay_result.h"

namespace alchemist {

// Returns when every request has ended, or soon after `stop` is true: then what was measured so
// far. `progress` is told every two seconds how far it is. An error when nothing could be sent: the
// trace or the server is not there, or a flag does not fit the trace.
absl::StatusOr<ReplayResult> RunReplay(const ReplayOptions& options, const std::atomic<bool>& stop,
                                       const std::function<void(const std::string&)>& progress);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_RUN_H_
