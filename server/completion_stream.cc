#include "server/completion_stream.h"

#include "base/logging.h"

namespace alchemist {

bool CompletionStream::HasRoom() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(events_.size()) + 2 * choices_ <= kEventsMax;
}

void CompletionStream::Push(CompletionEvent event) {
  bool wakes = false;
  {
    MutexLock lock(&mutex_);
    if (cancelled_) return;
    CHECK_LT(static_cast<int64_t>(events_.size()), kEventsMax) << "nobody looked for room";
    wakes = std::exchange(reader_waits_, false);
    events_.push_back(std::move(event));
  }
  if (wakes) wake_();
}

void CompletionStream::Abandon(CompletionEnd end) {
  {
    MutexLock lock(&mutex_);
    abandoned_ = true;
    reader_waits_ = true;
  }
  Push(std::move(end));
}

bool CompletionStream::cancelled() const {
  MutexLock lock(&mutex_);
  return cancelled_;
}

std::optional<CompletionEvent> CompletionStream::Take() {
  MutexLock lock(&mutex_);
  reader_waits_ = events_.empty();
  if (reader_waits_) return std::nullopt;
  CompletionEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void CompletionStream::Cancel() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
  reader_waits_ = false;
  events_.clear();
}

bool CompletionStream::abandoned() const {
  MutexLock lock(&mutex_);
  return abandoned_;
}

}  // namespace alchemist
