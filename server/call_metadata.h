// The metadata of gRPC calls that server and clients agree on. Pure; any thread.
#ifndef ALCHEMIST_SERVER_CALL_METADATA_H_
#define ALCHEMIST_SERVER_CALL_METADATA_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace alchemist {

inline constexpr int64_t kIdBytesMax = 128;  // Of any id that a client names.

// Sent by a client: in whose name it calls.
inline constexpr char kTenantKey[] = "alchemist-tenant";
// Sent back beside RESOURCE_EXHAUSTED: when to call again. gRPC's own name for it.
inline constexpr char kRetryPushbackKey[] = "grpc-retry-pushback-ms";

// At most kIdBytesMax of A-Z a-z 0-9 . _ -; "" is no tenant.
absl::Status CheckTenant(const std::string& tenant);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_CALL_METADATA_H_
