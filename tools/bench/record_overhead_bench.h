// Benchmark `record_overhead`: what recording costs serving.
#ifndef ALCHEMIST_TOOLS_BENCH_RECORD_OVERHEAD_BENCH_H_
#define ALCHEMIST_TOOLS_BENCH_RECORD_OVERHEAD_BENCH_H_

#include "base/status.h"
#include "tools/bench/context.h"

namespace alchemist {

absl::StatusOr<BenchResult> RunRecordOverheadBench(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_RECORD_OVERHEAD_BENCH_H_
