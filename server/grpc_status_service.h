// ToGrpcStatus: the one place where an absl::Status becomes a gRPC status. Any thread.
#ifndef ALCHEMIST_SERVER_GRPC_STATUS_SERVICE_H_
#define ALCHEMIST_SERVER_GRPC_STATUS_SERVICE_H_

#include "base/status.h"

namespace grpc {
class Status;
}  // namespace grpc

namespace alchemist {

// The same code; the message is cut at 1,024 bytes.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_GRPC_STATUS_SERVICE_H_
