// What the driver's opaque handles of streams, events and graphs point to. A stream is used by one
// thread at a time; events by any.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_STREAM_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_STREAM_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "cuda.h"
#include "kernels/cuda/stand_in/work_queue.h"

struct CUgraph_st {
  std::vector<alchemist::stand_in::Work> work;
};

struct CUgraphExec_st {
  std::vector<alchemist::stand_in::Work> work;
};

struct CUstream_st {
  alchemist::stand_in::WorkQueue queue;
  std::optional<CUgraph_st> captured;  // What is queued goes here instead.
  bool capture_broken = false;         // By a call that cannot be captured.
};

struct CUevent_st {
  alchemist::Mutex mutex;  // Recorded by callers, passed by a stream's thread.
  alchemist::CondVar changed;
  int64_t recorded ABSL_GUARDED_BY(mutex) = 0;  // How often.
  int64_t passed ABSL_GUARDED_BY(mutex) = 0;
  int64_t passed_ns ABSL_GUARDED_BY(mutex) = 0;  // When it last was.
};

namespace alchemist::stand_in {

// `stream`, or for null the one that every process has.
CUstream StreamOrDefault(CUstream stream);
// Does `work` in the stream, or captures it.
void Queue(CUstream stream, Work work);
// Waits for what is queued. An error, and the capture is lost, while it captures.
CUresult Synchronize(CUstream stream);

}  // namespace alchemist::stand_in

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_STREAM_H_
