// WorkQueue: a stream of the stand-in, as a thread that does what is queued, in order. Once the
// context is lost it only drops it. Owned by its CUstream; any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_WORK_QUEUE_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_WORK_QUEUE_H_

#include <deque>
#include <functional>
#include <thread>

#include "base/mutex.h"

namespace alchemist::stand_in {

using Work = std::function<void()>;

// Does `work` unless the context is lost. An access that the CPU refuses ends it there, as a GPU
// ends a kernel, and loses the context: CUDA_ERROR_ILLEGAL_ADDRESS from then on.
void DoOrLoseContext(const Work& work);

class WorkQueue {
 public:
  static constexpr int kWorkMax = 1024;  // Who queues more waits, as before a GPU.

  WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  ~WorkQueue();  // Does what is queued first.

  void Add(Work work);
  void Wait();  // Until it is idle.
  bool IsIdle();
  static void WaitForAll();  // Of this process. None is made or destroyed meanwhile.

 private:
  void Run();

  Mutex mutex_;  // Callers add what the queue's own thread takes.
  CondVar changed_;
  std::deque<Work> queue_ ABSL_GUARDED_BY(mutex_);  // Its front is being done.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace alchemist::stand_in

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_WORK_QUEUE_H_
