#include "server/parse_error_service.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include "absl/strings/match.h"

namespace alchemist {
namespace {

using grpc::experimental::InterceptionHookPoints;

// Lives as long as its call.
class ParseErrorStatus final : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      // Our own INTERNAL says what happened: ToGrpcStatus.
      const grpc::Status status = methods->GetSendStatus();
      if (status.error_code() == grpc::StatusCode::INTERNAL && status.error_message().empty()) {
        methods->ModifySendStatus(
            grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                         "not the request's message, or a text in it is no UTF-8"));
      }
    }
    methods->Proceed();
  }
};

class ParseErrorStatusFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return absl::StartsWith(info->method(), "/alchemist.") ? new ParseErrorStatus : nullptr;
  }
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeParseErrorStatus() {
  return std::make_unique<ParseErrorStatusFactory>();
}

}  // namespace alchemist
