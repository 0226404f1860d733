#include "tools/quickstart/client_threads.h"

#include "base/clock.h"

namespace alchemist {

void ClientThreads::Start(int count, const Turn& turn) {
  for (int i = 0; i < count; ++i) {
    {
      MutexLock lock(&mutex_);
      ++running_;
    }
    threads_.emplace_back([this, turn] { Run(turn); });
  }
}

void ClientThreads::Run(const Turn& turn) {
  const Clock& clock = *Clock::Real();
  for (;;) {
    const absl::StatusOr<int64_t> wait_us = turn();
    MutexLock lock(&mutex_);
    if (!wait_us.ok() && !stop_) {
      status_ = wait_us.status();
      stop_ = true;
      wake_.NotifyAll();
    }
    const int64_t end_us = clock.MonotonicUs() + wait_us.value_or(0);
    while (!stop_ && clock.MonotonicUs() < end_us) {
      wake_.WaitFor(&mutex_, end_us - clock.MonotonicUs());
    }
    if (stop_ || *wait_us == kDone) {
      --running_;
      return;
    }
  }
}

void ClientThreads::Stop() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
    wake_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool ClientThreads::ended() const {
  MutexLock lock(&mutex_);
  return running_ == 0;
}

absl::Status ClientThreads::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

}  // namespace alchemist
