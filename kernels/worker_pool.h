// WorkerPool: the compute threads of a process (DESIGN.md section 9: no OpenMP anywhere). One per
// daemon, owned by its main; ParallelFor may be called by one thread at a time.
#ifndef ALCHEMIST_KERNELS_WORKER_POOL_H_
#define ALCHEMIST_KERNELS_WORKER_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/functional/function_ref.h"
#include "base/status.h"

namespace alchemist {

// Puts the calling thread under SCHED_IDLE. The owner of a pool with `idle_priority` calls it for
// its own thread, which runs tiles too.
absl::Status SetIdlePriority();

class WorkerPool {
 public:
  struct Options {
    int threads = 1;             // Including the calling thread; >= 1.
    bool idle_priority = false;  // Workers run under SCHED_IDLE (the trainer).
    // Called by the running thread before each tile; may block (the trainer yields here). Bounded
    // work per tile (<= 5 ms) is the ops' promise.
    std::function<void()> before_tile = nullptr;
  };

  explicit WorkerPool(Options options);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Calls tile(i) once for each i in [0, count), in any order, on any worker or the caller, and
  // returns when all calls have. Which thread runs a tile must not change its result. A worker that
  // comes late is not waited for. Everybody spins at most 20 us, then sleeps on a futex. Not from
  // inside a tile: that is a CHECK failure.
  void ParallelFor(int64_t count, absl::FunctionRef<void(int64_t)> tile);

  int threads() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_WORKER_POOL_H_
