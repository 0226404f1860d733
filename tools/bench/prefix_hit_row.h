// The row of the `interference` benchmark about what clients find of their own conversations while
// new revisions are published. The workload stands in interference_bench.cc. One thread.
#ifndef ALCHEMIST_TOOLS_BENCH_PREFIX_HIT_ROW_H_
#define ALCHEMIST_TOOLS_BENCH_PREFIX_HIT_ROW_H_

#include <cstdint>

#include "base/status.h"
#include "tools/bench/context.h"
#include "tools/bench/row.h"
#include "tools/daemons/daemons.h"

namespace alchemist {

// REQUIRES: the trainer of `daemons` is active and has something to learn. It is stopped and
// continued by signals. An error when no revision is published where one is waited for.
absl::StatusOr<BenchRow> PrefixHitOfTraining(const BenchContext& context, int64_t vocab,
                                             Daemons& daemons);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_PREFIX_HIT_ROW_H_
