// Stream: where an op's work runs. On the CPU backend an op is done when its call returns, on the
// stream's worker pool. Ops take it last, by reference. One thread at a time.
#ifndef ALCHEMIST_KERNELS_STREAM_H_
#define ALCHEMIST_KERNELS_STREAM_H_

#include "kernels/worker_pool.h"

namespace alchemist {

class Stream {
 public:
  explicit Stream(WorkerPool* pool) : pool_(pool) {}  // `pool` must outlive the stream.
  WorkerPool& pool() { return *pool_; }

 private:
  WorkerPool* const pool_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_STREAM_H_
