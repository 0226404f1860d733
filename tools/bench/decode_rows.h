// Rows of the `serve` benchmark about answers: decode beside the rate at which memory is read, what
// company gains, and what a long prompt beside them costs. The workloads stand in serve_bench.cc.
#ifndef ALCHEMIST_TOOLS_BENCH_DECODE_ROWS_H_
#define ALCHEMIST_TOOLS_BENCH_DECODE_ROWS_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/row.h"

namespace alchemist {

absl::StatusOr<BenchRow> DecodeOfReadBandwidth(const BenchContext& context,
                                               InProcessServer& server);
absl::StatusOr<BenchRow> DecodeEightOverOne(const BenchContext& context, InProcessServer& server);
// For several chunk sizes; the default one has a target.
absl::StatusOr<std::vector<BenchRow>> StepsBesidePrefill(const BenchContext& context,
                                                         InProcessServer& server);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_DECODE_ROWS_H_
