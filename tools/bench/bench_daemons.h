// Both daemons of a benchmark, in separate sessions as systemd starts them, on the benchmark's
// model. One thread.
#ifndef ALCHEMIST_TOOLS_BENCH_BENCH_DAEMONS_H_
#define ALCHEMIST_TOOLS_BENCH_BENCH_DAEMONS_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/daemons/daemons.h"

namespace alchemist {

// With a server that answers and no trainer yet; all of them end with the object. The flags are
// those that the benchmark adds to the defaults.
absl::StatusOr<std::unique_ptr<Daemons>> StartBenchServer(
    const BenchContext& context, std::vector<std::string> trainer_flags,
    const std::vector<std::string>& server_flags = {});

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_BENCH_DAEMONS_H_
