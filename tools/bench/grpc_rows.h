// Rows of the `serve` benchmark about the way through gRPC: what it costs for each token, and how
// long a command waits for an engine at work. The workloads stand in serve_bench.cc.
#ifndef ALCHEMIST_TOOLS_BENCH_GRPC_ROWS_H_
#define ALCHEMIST_TOOLS_BENCH_GRPC_ROWS_H_

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/bench/row.h"

namespace alchemist {

absl::StatusOr<BenchRow> CpuPerToken(const BenchContext& context);
absl::StatusOr<BenchRow> CommandLatency(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_GRPC_ROWS_H_
