// BoundedQueue hands values from any thread to one consumer thread. It never holds more than
// `capacity` values: a full queue refuses, and the producer says so to whoever asked it.
#ifndef ALCHEMIST_BASE_BOUNDED_QUEUE_H_
#define ALCHEMIST_BASE_BOUNDED_QUEUE_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "base/mutex.h"

namespace alchemist {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(int64_t capacity) : capacity_(capacity) {}

  // Appends `value`, or returns false and leaves the queue unchanged when it is full or closed.
  bool TryPush(T value) {
    MutexLock lock(&mutex_);
    if (closed_ || static_cast<int64_t>(values_.size()) >= capacity_) return false;
    values_.push_back(std::move(value));
    pushed_.NotifyOne();
    return true;
  }

  // Waits for room, for at most `timeout_us`; false when it stayed full or the queue was closed.
  bool Push(T value, int64_t timeout_us) {
    MutexLock lock(&mutex_);
    while (!closed_ && static_cast<int64_t>(values_.size()) >= capacity_) {
      if (!popped_.WaitFor(&mutex_, timeout_us)) return false;
    }
    if (closed_) return false;
    values_.push_back(std::move(value));
    pushed_.NotifyOne();
    return true;
  }

  // The oldest value, or nullopt when there is none right now.
  std::optional<T> TryPop() {
    MutexLock lock(&mutex_);
    return PopLocked();
  }

  // Waits at most `timeout_us` for a value. nullopt on time-out, or when closed and drained.
  std::optional<T> Pop(int64_t timeout_us) {
    MutexLock lock(&mutex_);
    while (values_.empty() && !closed_) {
      if (!pushed_.WaitFor(&mutex_, timeout_us)) break;
    }
    return PopLocked();
  }

  // Refuses further values and wakes all waiters; values already queued can still be popped.
  void Close() {
    MutexLock lock(&mutex_);
    closed_ = true;
    pushed_.NotifyAll();
    popped_.NotifyAll();
  }

  bool closed() const {
    MutexLock lock(&mutex_);
    return closed_;
  }
  int64_t size() const {
    MutexLock lock(&mutex_);
    return static_cast<int64_t>(values_.size());
  }

 private:
  std::optional<T> PopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (values_.empty()) return std::nullopt;
    T value = std::move(values_.front());
    values_.pop_front();
    popped_.NotifyOne();
    return value;
  }

  const int64_t capacity_;
  mutable Mutex mutex_;  // Producers and the consumer are different threads by definition.
  CondVar pushed_;
  CondVar popped_;
  std::deque<T> values_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_BOUNDED_QUEUE_H_
