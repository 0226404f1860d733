// How long something takes. Any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_STOPWATCH_H_
#define ALCHEMIST_TOOLS_BENCH_STOPWATCH_H_

#include <algorithm>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "base/clock.h"

namespace alchemist {

// At least a microsecond, so that it can be divided by.
inline double SecondsBetween(int64_t begin_us, int64_t end_us) {
  return static_cast<double>(std::max<int64_t>(1, end_us - begin_us)) * 1e-6;
}

inline double SecondsOf(absl::FunctionRef<void()> work) {
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  work();
  return SecondsBetween(begin_us, Clock::Real()->MonotonicUs());
}

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_STOPWATCH_H_
