// The machine a benchmark ran on, in words. Any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_MACHINE_H_
#define ALCHEMIST_TOOLS_BENCH_MACHINE_H_

#include "tools/bench/row.h"

namespace alchemist {

// CPU, cores, instruction set, memory, kernel, and what matrix products are made of; the latter as
// it was chosen by then.
BenchParams DescribeMachine();

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_MACHINE_H_
