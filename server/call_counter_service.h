// Counts the calls of our own services, each until its last byte is handed to its client. Health
// watches, which last as long as their client, and reflection do not count.
#ifndef ALCHEMIST_SERVER_CALL_COUNTER_SERVICE_H_
#define ALCHEMIST_SERVER_CALL_COUNTER_SERVICE_H_

#include <memory>

#include "server/running_calls.h"

namespace grpc::experimental {
class ServerInterceptorFactoryInterface;
}  // namespace grpc::experimental

namespace alchemist {

// `calls` must outlive the gRPC server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCallCounter(
    RunningCalls* calls);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_CALL_COUNTER_SERVICE_H_
