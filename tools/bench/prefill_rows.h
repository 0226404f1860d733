// Rows of the `serve` benchmark about prompts: how fast they run beside oneDNN, how that changes
// with their length, and what a recorded prefix saves. The workloads stand in serve_bench.cc.
#ifndef ALCHEMIST_TOOLS_BENCH_PREFILL_ROWS_H_
#define ALCHEMIST_TOOLS_BENCH_PREFILL_ROWS_H_

#include <cstdint>

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/row.h"

namespace alchemist {

absl::StatusOr<BenchRow> PrefillOfMatmulPeak(const BenchContext& context, InProcessServer& server,
                                             int64_t tokens);
absl::StatusOr<BenchRow> PrefillLongOverShort(const BenchContext& context, InProcessServer& server);
absl::StatusOr<BenchRow> PrefixHitTtft(const BenchContext& context, InProcessServer& server);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_PREFILL_ROWS_H_
