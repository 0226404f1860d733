// CompletionStream: the events of one completion on their way from the serving loop to the call
// that reads them. Bounded: while it has no room for what a step makes and the ends, the loop
// leaves the request out of its steps, so that a slow reader stops its own request and nobody
// else's. Shared by the loop and the call; both may end first.
#ifndef ALCHEMIST_SERVER_COMPLETION_STREAM_H_
#define ALCHEMIST_SERVER_COMPLETION_STREAM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "server/completion.h"

namespace alchemist {

class CompletionStream {
 public:
  static constexpr int64_t kEventsMax = 64;
  static_assert(kEventsMax >= 4 * kChoicesMax);

  // `wake` is called on the loop's thread, without a lock, when there is an event for a reader
  // whose last Take found none, and always by Abandon. It may be called once more after Cancel.
  explicit CompletionStream(
      int64_t choices = 1, std::function<void()> wake = [] {})
      : choices_(choices), wake_(std::move(wake)), choices_left_(choices) {}

  // ---- The serving loop ----
  bool HasRoom() const;  // For a chunk and the end of every choice.
  // REQUIRES: there was room, or it is the end. Dropped when the reader is gone or was abandoned.
  void Push(CompletionEvent event);
  // The reader has taken nothing for too long: it can get `end` and nothing else. Once.
  void Abandon(CompletionEnd end);
  bool cancelled() const;
  bool complete() const;  // Has the ends of all choices: nothing more comes.
  int64_t taken() const;  // Events.

  // ---- The reader ----
  // The oldest event, or nullopt: then `wake` is called when there is one.
  std::optional<CompletionEvent> Take();
  // The reader is gone: the loop ends the request within one step.
  void Cancel();
  bool abandoned() const;  // By the loop, which asks, too.

 private:
  const int64_t choices_;
  const std::function<void()> wake_;
  mutable Mutex mutex_;  // The loop and the call are different threads.
  std::deque<CompletionEvent> events_ ABSL_GUARDED_BY(mutex_);
  int64_t choices_left_ ABSL_GUARDED_BY(mutex_);  // Whose ends did not come. An error ends all.
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reader_waits_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

// How long a reader has taken nothing of a stream that has something for it.
class UnreadTime {
 public:
  int64_t Us(const CompletionStream& stream, int64_t now_us) {
    const int64_t taken = stream.taken();
    if (!since_us_.has_value() || taken != taken_) since_us_ = now_us;
    taken_ = taken;
    return now_us - *since_us_;
  }
  void Reset() { since_us_.reset(); }

 private:
  std::optional<int64_t> since_us_;
  int64_t taken_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMPLETION_STREAM_H_
