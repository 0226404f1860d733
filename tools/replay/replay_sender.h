// ReplaySender: sends the requests of a plan by the clients of a pool and keeps what became of
// each. Any thread may call, several at once.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_SENDER_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_SENDER_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/replay/client_pool.h"
#include "tools/replay/replay_outcome.h"
#include "tools/replay/replay_plan.h"
#include "tools/replay/retry_waits.h"

namespace alchemist {

class ReplaySender {
 public:
  struct Options {
    int64_t vocab = 0;  // The model's.
    double length_scale = 1;
    uint64_t seed = 1;
    std::string session_id;
  };
  // All must outlive it. `control` aborts: not one of `clients`, so that it waits for none of their
  // requests. `waits` are those of `clients`.
  ReplaySender(const Options& options, const ReplayPlan* plan, ClientPool* clients,
               AlchemistClient* control, RetryWaits* waits, const Clock* clock)
      : options_(options),
        plan_(plan),
        clients_(clients),
        control_(control),
        waits_(waits),
        clock_(clock) {}

  // Sends the plan's request `index`, which was due at `due_us` of the clock, and returns when its
  // answer has ended. The answer has all the tokens that the plan says.
  void Send(int64_t index, int64_t due_us);

  // Ends the requests in flight, and those that come later; none is tried again. One whose id the
  // server has not said yet is ended when it does; so call it again until none is in flight.
  absl::Status Cancel();

  // Of the requests that have ended; since Cancel, only those that were answered.
  std::vector<RequestOutcome> outcomes() const;

 private:
  v1::CompleteRequest RequestOf(int64_t index) const;
  void OnStarted(const std::string& request_id, std::string& started_id);

  const Options options_;
  const ReplayPlan* const plan_;
  ClientPool* const clients_;
  AlchemistClient* const control_;
  RetryWaits* const waits_;
  const Clock* const clock_;

  mutable Mutex mutex_;  // Requests end in any order.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::string> started_ids_ ABSL_GUARDED_BY(mutex_);  // In flight.
  std::vector<RequestOutcome> outcomes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_SENDER_H_
