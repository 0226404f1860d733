// RunningCalls: how many calls of clients run, so that a server that stops can wait for them and
// for nothing else. Owned by main. Any thread.
#ifndef ALCHEMIST_SERVER_RUNNING_CALLS_H_
#define ALCHEMIST_SERVER_RUNNING_CALLS_H_

#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"

namespace alchemist {

class RunningCalls {
 public:
  void Begin() {
    MutexLock lock(&mutex_);
    ++running_;
  }
  void End() {
    MutexLock lock(&mutex_);
    if (--running_ == 0) none_.NotifyAll();
  }
  // WaitUntilNone waits no longer.
  void GiveUp() {
    MutexLock lock(&mutex_);
    given_up_ = true;
    none_.NotifyAll();
  }
  // Waits for a moment at which none runs, at most `timeout_us`, or until GiveUp.
  void WaitUntilNone(int64_t timeout_us) {
    const int64_t deadline_us = Clock::Real()->MonotonicUs() + timeout_us;
    MutexLock lock(&mutex_);
    while (running_ > 0 && !given_up_) {
      const int64_t left_us = deadline_us - Clock::Real()->MonotonicUs();
      if (left_us <= 0 || !none_.WaitFor(&mutex_, left_us)) return;
    }
  }

 private:
  Mutex mutex_;  // Calls begin and end on gRPC's threads.
  CondVar none_;
  int64_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool given_up_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_RUNNING_CALLS_H_
