// PoissonLoad: requests that come to a server when they come, whether or not it has answered the
// ones before. Each answer is corrected at once, so that there is always something to learn. One
// thread calls; each request has a thread of its own.
#ifndef ALCHEMIST_TOOLS_BENCH_POISSON_LOAD_H_
#define ALCHEMIST_TOOLS_BENCH_POISSON_LOAD_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"

namespace alchemist {

// When `count` requests come, in microseconds from the start: the first one at once, the gaps
// exponential with a mean of 1 / per_second. The same seed gives the same gaps, stretched.
std::vector<int64_t> PoissonArrivals(int64_t count, double per_second, uint64_t seed);

class PoissonLoad {
 public:
  struct Options {
    int64_t vocab = 0;
    int64_t prompt_tokens = 0;
    int64_t answer_tokens = 0;
  };

  PoissonLoad(const Options& options, AlchemistClient* client)  // Must outlive the load.
      : options_(options), client_(client) {}

  // Sends a request at each of `arrivals_us` from now and waits for all answers. The same prompts
  // each time. The first error of a call, when there was one.
  absl::Status Run(const std::vector<int64_t>& arrivals_us);

 private:
  absl::Status AskAndCorrect(uint64_t seed);
  void Keep(const absl::Status& status);

  const Options options_;
  AlchemistClient* const client_;
  std::atomic<int64_t> corrections_{0};
  Mutex mutex_;  // Requests end in any order.
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_POISSON_LOAD_H_
