#include "tools/replay/open_loop.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace alchemist {

OpenLoop::OpenLoop(std::vector<int64_t> due_us, int64_t concurrency_max, Send send,
                   const Clock* clock)
    : due_us_(std::move(due_us)),
      send_(std::move(send)),
      clock_(clock),
      start_us_(clock->MonotonicUs()) {
  CHECK_GT(concurrency_max, 0);
  CHECK(std::is_sorted(due_us_.begin(), due_us_.end()));
  const int64_t threads = std::min(concurrency_max, static_cast<int64_t>(due_us_.size()));
  {
    MutexLock lock(&mutex_);
    threads_running_ = threads;
  }
  for (int64_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

OpenLoop::~OpenLoop() {
  Stop();
  for (std::thread& thread : threads_) thread.join();
}

void OpenLoop::Stop() {
  MutexLock lock(&mutex_);
  stop_ = true;
  changed_.NotifyAll();
}

bool OpenLoop::WaitForEnd(int64_t timeout_us) {
  const int64_t end_us = clock_->MonotonicUs() + timeout_us;
  MutexLock lock(&mutex_);
  while (threads_running_ > 0) {
    const int64_t left_us = end_us - clock_->MonotonicUs();
    if (left_us <= 0) return false;
    changed_.WaitFor(&mutex_, left_us);
  }
  return true;
}

int64_t OpenLoop::sent() const {
  MutexLock lock(&mutex_);
  return sent_;
}

int64_t OpenLoop::ended() const {
  MutexLock lock(&mutex_);
  return ended_;
}

void OpenLoop::Run() {
  int64_t index = 0;
  while (Take(index)) {
    send_(index, start_us_ + due_us_[index]);
    MutexLock lock(&mutex_);
    ++ended_;
  }
  MutexLock lock(&mutex_);
  --threads_running_;
  changed_.NotifyAll();
}

bool OpenLoop::Take(int64_t& index) {
  MutexLock lock(&mutex_);
  if (taken_ == static_cast<int64_t>(due_us_.size())) return false;
  index = taken_++;
  for (;;) {
    if (stop_) return false;
    const int64_t left_us = start_us_ + due_us_[index] - clock_->MonotonicUs();
    if (left_us <= 0) break;
    changed_.WaitFor(&mutex_, left_us);
  }
  ++sent_;
  return true;
}

}  // namespace alchemist
