#include "tools/replay/retry_waits.h"

#include "base/clock.h"

namespace alchemist {

void RetryWaits::Wait(int64_t us) {
  const Clock& clock = *Clock::Real();
  const int64_t end_us = clock.MonotonicUs() + us;
  MutexLock lock(&mutex_);
  ++count_;
  while (!stop_ && clock.MonotonicUs() < end_us) {
    stopped_.WaitFor(&mutex_, end_us - clock.MonotonicUs());
  }
}

void RetryWaits::Stop() {
  MutexLock lock(&mutex_);
  stop_ = true;
  stopped_.NotifyAll();
}

int64_t RetryWaits::count() const {
  MutexLock lock(&mutex_);
  return count_;
}

}  // namespace alchemist
