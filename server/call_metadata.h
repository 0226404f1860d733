// Keys of the metadata of gRPC calls that server and clients agree on.
#ifndef ALCHEMIST_SERVER_CALL_METADATA_H_
#define ALCHEMIST_SERVER_CALL_METADATA_H_

namespace alchemist {

// Sent by a client: in whose name it calls.
inline constexpr char kTenantKey[] = "alchemist-tenant";
// Sent back beside RESOURCE_EXHAUSTED: when to call again. gRPC's own name for it.
inline constexpr char kRetryPushbackKey[] = "grpc-retry-pushback-ms";

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_CALL_METADATA_H_
