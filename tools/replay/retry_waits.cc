#include "tools/replay/retry_waits.h"

#include "base/clock.h"

namespace alchemist {

void RetryWaits::Wait(int64_t us) {
  const Clock& clock = *Clock::Real();
  const int64_t end_us = clock.MonotonicUs() + us;
  MutexLock lock(&mutex_);
  ++count_;
  while (!stopped_ && clock.MonotonicUs() < end_us) {
    changed_.WaitFor(&mutex_, end_us - clock.MonotonicUs());
  }
  if (stopped_) --count_;
}

void RetryWaits::Stop() {
  MutexLock lock(&mutex_);
  stopped_ = true;
  changed_.NotifyAll();
}

bool RetryWaits::stopped() const {
  MutexLock lock(&mutex_);
  return stopped_;
}

int64_t RetryWaits::count() const {
  MutexLock lock(&mutex_);
  return count_;
}

}  // namespace alchemist
