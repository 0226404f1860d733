// Benchmark `serve`: prefill and decode, as the server does them, beside what the machine can do.
#ifndef ALCHEMIST_TOOLS_BENCH_SERVE_BENCH_H_
#define ALCHEMIST_TOOLS_BENCH_SERVE_BENCH_H_

#include "base/status.h"
#include "tools/bench/context.h"

namespace alchemist {

absl::StatusOr<BenchResult> RunServeBench(const BenchContext& context);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_SERVE_BENCH_H_
