// Rows of the `record_overhead` benchmark about time: what recording adds to a prompt and to an
// answer. The workloads stand in record_overhead_bench.cc. One thread.
#ifndef ALCHEMIST_TOOLS_BENCH_RECORDING_SPEED_ROWS_H_
#define ALCHEMIST_TOOLS_BENCH_RECORDING_SPEED_ROWS_H_

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/bench/row.h"

namespace alchemist {

// Each makes a server, with a store of its own. An error when a side is not recorded as it should
// be.
absl::StatusOr<BenchRow> TtftOfRecording(const BenchContext& context);
absl::StatusOr<BenchRow> TpotOfRecording(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_RECORDING_SPEED_ROWS_H_
