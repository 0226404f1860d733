// The row of the `record_overhead` benchmark about room: whether records take any from serving. The
// workload stands in record_overhead_bench.cc. One thread.
#ifndef ALCHEMIST_TOOLS_BENCH_CAPACITY_ROW_H_
#define ALCHEMIST_TOOLS_BENCH_CAPACITY_ROW_H_

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/bench/row.h"

namespace alchemist {

// Makes a server with a store of its own. An error when something else than K/V pages limits who
// runs, or the store is not as the workload says.
absl::StatusOr<BenchRow> CapacityOfRecording(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_CAPACITY_ROW_H_
