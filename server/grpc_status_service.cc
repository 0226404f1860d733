#include "server/grpc_status_service.h"

#include <grpcpp/support/status.h>

#include <string>

namespace alchemist {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // The codes are the same numbers in both.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message().substr(0, 1024)));
}

}  // namespace alchemist
