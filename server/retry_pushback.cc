#include "server/retry_pushback.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/call_metadata.h"

namespace alchemist {

absl::Status WithRetryPushback(absl::Status status, int64_t pushback_ms) {
  status.SetPayload(kRetryPushbackKey, absl::Cord(absl::StrCat(pushback_ms)));
  return status;
}

std::optional<int64_t> RetryPushbackMs(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryPushbackKey);
  int64_t pushback_ms = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &pushback_ms)) {
    return std::nullopt;
  }
  return pushback_ms;
}

void QueuePace::OnTaken(int64_t now_us) {
  if (taken_us_.size() == kTakenMax) taken_us_.pop_front();
  taken_us_.push_back(now_us);
}

int64_t QueuePace::PushbackMs(int64_t waiting, int64_t now_us) const {
  if (taken_us_.empty()) return kPushbackUnknownMs;
  const int64_t us_each = (now_us - taken_us_.front()) / static_cast<int64_t>(taken_us_.size());
  return std::clamp(us_each * waiting / 2 / 1000, kPushbackMinMs, kPushbackMaxMs);
}

}  // namespace alchemist
