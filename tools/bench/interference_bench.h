// Benchmark `interference`: what serving feels of the trainer.
#ifndef ALCHEMIST_TOOLS_BENCH_INTERFERENCE_BENCH_H_
#define ALCHEMIST_TOOLS_BENCH_INTERFERENCE_BENCH_H_

#include "base/status.h"
#include "tools/bench/context.h"

namespace alchemist {

absl::StatusOr<BenchResult> RunInterferenceBench(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_INTERFERENCE_BENCH_H_
