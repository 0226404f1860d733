#include "server/completion_stream.h"

#include <variant>

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
    if (cancelled_ || abandoned_) return;
    CHECK_LT(static_cast<int64_t>(events_.size()), kEventsMax) << "nobody looked for room";
    if (const auto* end = std::get_if<CompletionEnd>(&event)) {
      choices_left_ = end->status.ok() ? choices_left_ - 1 : 0;
    }
    wakes = std::exchange(reader_waits_, false);
    events_.push_back(std::move(event));
  }
  if (wakes) wake_();
}

void CompletionStream::Abandon(CompletionEnd end) {
  {
    MutexLock lock(&mutex_);
    if (cancelled_ || abandoned_) return;
    abandoned_ = true;
    reader_waits_ = false;
    events_.clear();
    events_.push_back(std::move(end));
  }
  wake_();
}

bool CompletionStream::complete() const {
  MutexLock lock(&mutex_);
  return choices_left_ <= 0;
}

int64_t CompletionStream::taken() const {
  MutexLock lock(&mutex_);
  return taken_;
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
  ++taken_;
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
