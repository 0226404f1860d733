// What gRPC answers itself to a request it cannot parse, INTERNAL without a message, blames the
// server. Calls of our own services get INVALID_ARGUMENT, which says whose fault it is.
#ifndef ALCHEMIST_SERVER_PARSE_ERROR_SERVICE_H_
#define ALCHEMIST_SERVER_PARSE_ERROR_SERVICE_H_

#include <memory>

namespace grpc::experimental {
class ServerInterceptorFactoryInterface;
}  // namespace grpc::experimental

namespace alchemist {

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeParseErrorStatus();

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_PARSE_ERROR_SERVICE_H_
