// RetryWaits: the waits of a client between two tries of a call: counts them, and ends them when
// the replay is stopped. Any thread.
#ifndef ALCHEMIST_TOOLS_REPLAY_RETRY_WAITS_H_
#define ALCHEMIST_TOOLS_REPLAY_RETRY_WAITS_H_

#include <cstdint>

#include "base/mutex.h"

namespace alchemist {

class RetryWaits {
 public:
  // Returns after `us`, or when it is stopped.
  void Wait(int64_t us);
  void Stop();
  bool stopped() const;
  int64_t count() const;  // Begun, but for those that Stop ended: no try comes after them.

 private:
  mutable Mutex mutex_;  // Calls wait in threads of their own.
  CondVar changed_;      // By Stop.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_RETRY_WAITS_H_
