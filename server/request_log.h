// RequestLog: what the server's log says of requests. Each line begins with the request's id, the
// choice where there are several, and the revision once it is pinned; none has a tenant's name or a
// text. Of each kind of event one line a second is written, which says how many were left out since
// the one before; with GLOG_v=1 every one, and a line per finished request. Owned by Batcher, on
// the serving loop's thread.
#ifndef ALCHEMIST_SERVER_REQUEST_LOG_H_
#define ALCHEMIST_SERVER_REQUEST_LOG_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/status.h"
#include "server/completion.h"
#include "server/sequence.h"

namespace alchemist {

// "request req-..."; pure.
std::string RequestLogId(const CompletionRequest& request);
// "request req-... choice 1 revision 3".
std::string RequestLogId(const Sequence& sequence);

class RequestLog {
 public:
  static constexpr int64_t kIntervalUs = 1'000'000;

  explicit RequestLog(const Clock* clock) : clock_(clock) {}

  // It was not accepted.
  void Refused(const CompletionRequest& request, const absl::Status& why);
  // It ended before its answer did: Cancelled by its client, or failed.
  void Ended(const Sequence& sequence, const absl::Status& why);
  void Preempted(const Sequence& sequence);
  void Finished(const Sequence& sequence, const CompletionEnd& end) const;

 private:
  // One kind of event.
  struct Limit {
    int64_t next_us = 0;  // When a line may be written again.
    int64_t left_out = 0;
  };
  void Write(bool is_warning, absl::string_view line, Limit& limit);

  const Clock* const clock_;
  Limit refused_, failed_, cancelled_, preempted_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_REQUEST_LOG_H_
