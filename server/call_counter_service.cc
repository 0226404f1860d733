#include "server/call_counter_service.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include "absl/strings/match.h"

namespace alchemist {
namespace {

// Lives as long as its call.
class CallCounter final : public grpc::experimental::Interceptor {
 public:
  explicit CallCounter(RunningCalls* calls) : calls_(calls) { calls_->Begin(); }
  ~CallCounter() override { calls_->End(); }
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    methods->Proceed();
  }

 private:
  RunningCalls* const calls_;
};

class CallCounterFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallCounterFactory(RunningCalls* calls) : calls_(calls) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return absl::StartsWith(info->method(), "/alchemist.") ? new CallCounter(calls_) : nullptr;
  }

 private:
  RunningCalls* const calls_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCallCounter(
    RunningCalls* calls) {
  return std::make_unique<CallCounterFactory>(calls);
}

}  // namespace alchemist
