// Benchmark `memory`: that weights are in memory once.
#ifndef ALCHEMIST_TOOLS_BENCH_MEMORY_BENCH_H_
#define ALCHEMIST_TOOLS_BENCH_MEMORY_BENCH_H_

#include "base/status.h"
#include "tools/bench/context.h"

namespace alchemist {

absl::StatusOr<BenchResult> RunMemoryBench(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_MEMORY_BENCH_H_
