// Benchmark `reuse`: a training step that reads what serving recorded, beside one that runs the
// prompts itself.
#ifndef ALCHEMIST_TOOLS_BENCH_REUSE_BENCH_H_
#define ALCHEMIST_TOOLS_BENCH_REUSE_BENCH_H_

#include "base/status.h"
#include "tools/bench/context.h"

namespace alchemist {

absl::StatusOr<BenchResult> RunReuseBench(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_REUSE_BENCH_H_
