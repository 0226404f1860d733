// How long a client that was refused for lack of room should wait before it tries again: a payload
// of the status, which a service sends as trailing metadata under kRetryPushbackKey. Pure; any
// thread.
#ifndef ALCHEMIST_SERVER_RETRY_PUSHBACK_H_
#define ALCHEMIST_SERVER_RETRY_PUSHBACK_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "base/status.h"

namespace alchemist {

absl::Status WithRetryPushback(absl::Status status, int64_t pushback_ms);
std::optional<int64_t> RetryPushbackMs(const absl::Status& status);

// How fast a queue moves. One thread.
class QueuePace {
 public:
  static constexpr int64_t kPushbackMinMs = 100;
  static constexpr int64_t kPushbackUnknownMs = 1'000;  // Before anything was taken from it.
  static constexpr int64_t kPushbackMaxMs = 60'000;

  void OnTaken(int64_t now_us);          // One was taken from the queue.
  void OnEmpty() { taken_us_.clear(); }  // It waits for nobody: the pace is another one after it.
  // When half of `waiting` are taken, at the pace of the last ones: room for whom was refused, and
  // for those who come with it.
  int64_t PushbackMs(int64_t waiting, int64_t now_us) const;

 private:
  static constexpr size_t kTakenMax = 64;
  std::deque<int64_t> taken_us_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_RETRY_PUSHBACK_H_
