// Whether a call that failed is tried again, and when. Pure; any thread.
#ifndef ALCHEMIST_TOOLS_CLIENT_RETRY_H_
#define ALCHEMIST_TOOLS_CLIENT_RETRY_H_

#include <cstdint>
#include <optional>

#include "base/random.h"
#include "base/status.h"

namespace alchemist {

inline constexpr int64_t kBackoffFirstUs = 50'000;
inline constexpr int64_t kBackoffMaxUs = 1'000'000;

// How long to wait before a call that ended with `status`, after `retries` earlier retries, is
// tried again; nullopt when it is not to be, or when no time would be left for it.
// What the server says (RetryPushbackMs) is waited, by RESOURCE_EXHAUSTED and UNAVAILABLE; a
// negative number means never. Otherwise RESOURCE_EXHAUSTED is final, since it is then a message
// that is too large or a disk that is full, and UNAVAILABLE is waited kBackoffFirstUs, doubled with
// each retry up to kBackoffMaxUs, less up to half of it by chance, so that clients whose server
// went away do not come back together. All other codes are final.
std::optional<int64_t> RetryWaitUs(int64_t retries, const absl::Status& status,
                                   int64_t time_left_us, Random& random);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_CLIENT_RETRY_H_
