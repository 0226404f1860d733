#include "tools/client/retry.h"

#include <algorithm>

#include "server/retry_pushback.h"

namespace alchemist {
namespace {

constexpr int64_t kDoublingsMax = 30;  // Far beyond kBackoffMaxUs, and no overflow.

int64_t BackoffUs(int64_t retries, Random& random) {
  const int64_t longest_us =
      std::min(kBackoffFirstUs << std::min(retries, kDoublingsMax), kBackoffMaxUs);
  return longest_us - random.Below(longest_us / 2 + 1);
}

}  // namespace

std::optional<int64_t> RetryWaitUs(int64_t retries, const absl::Status& status,
                                   int64_t time_left_us, Random& random) {
  if (!absl::IsUnavailable(status) && !absl::IsResourceExhausted(status)) return std::nullopt;
  int64_t wait_us = 0;
  if (const std::optional<int64_t> pushback_ms = RetryPushbackMs(status)) {
    // Compared before it is multiplied: the number is a peer's.
    if (*pushback_ms < 0 || *pushback_ms > time_left_us / 1000) return std::nullopt;
    wait_us = *pushback_ms * 1000;
  } else {
    if (!absl::IsUnavailable(status)) return std::nullopt;
    wait_us = BackoffUs(retries, random);
  }
  if (wait_us >= time_left_us) return std::nullopt;
  return wait_us;
}

}  // namespace alchemist
