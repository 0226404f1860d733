// A replay's result as a table for people and as JSON. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_REPORT_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_REPORT_H_

#include <string>

#include "tools/replay/replay_result.h"

namespace alchemist {

// docs/operations.md says what its rows mean.
std::string ReplayTable(const ReplayOptions& options, const ReplayResult& result);

// The same figures, under the names that docs/operations.md lists. What was not measured is null.
std::string ReplayJson(const ReplayOptions& options, const ReplayResult& result);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_REPORT_H_
