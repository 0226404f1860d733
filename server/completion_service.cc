#include "server/completion_service.h"

#include <grpcpp/grpcpp.h>
#include <sys/random.h>

#include <string>
#include <utility>
#include <variant>

#include "base/logging.h"
#include "proto/alchemist/v1/completion.grpc.pb.h"
#include "server/completion_request.h"
#include "server/grpc_status_service.h"
#include "server/link_messages.h"

namespace alchemist {
namespace {

constexpr int64_t kPollCancelledUs = 50'000;

uint64_t RandomSeed() {
  uint64_t seed = 0;
  PCHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
  return seed;
}

v1::CompleteResponse ToMessage(CompletionChunk chunk) {
  v1::CompleteResponse response;
  v1::CompletionChunk& message = *response.mutable_chunk();
  message.set_text(std::move(chunk.text));
  message.mutable_token_ids()->Add(chunk.token_ids.begin(), chunk.token_ids.end());
  message.mutable_logprobs()->Add(chunk.logprobs.begin(), chunk.logprobs.end());
  return response;
}

v1::CompleteResponse ToMessage(const CompletionEnd& end) {
  v1::CompleteResponse response;
  v1::CompletionFinal& message = *response.mutable_final();
  message.set_completion_id(end.completion_id);
  *message.mutable_revision() = ToMessage(end.revision);
  message.mutable_usage()->set_prompt_tokens(end.prompt_tokens);
  message.mutable_usage()->set_completion_tokens(end.completion_tokens);
  message.set_finish_reason(static_cast<v1::FinishReason>(end.finish_reason));
  message.set_recorded(end.recorded);
  return response;
}

class CompletionServiceImpl final : public v1::CompletionService::Service {
 public:
  CompletionServiceImpl(const Model* model, const Tokenizer* tokenizer, ServingLoop* loop)
      : model_(model), tokenizer_(tokenizer), loop_(loop) {}

  grpc::Status Complete(grpc::ServerContext* context, const v1::CompleteRequest* message,
                        grpc::ServerWriter<v1::CompleteResponse>* writer) override {
    absl::StatusOr<CompletionRequest> request =
        ParseCompleteRequest(*message, *tokenizer_, model_->config(), RandomSeed());
    if (!request.ok()) return ToGrpcStatus(request.status());
    if (const absl::Status adapter = CheckAdapterId(request->adapter_id); !adapter.ok()) {
      return ToGrpcStatus(adapter);
    }
    const auto stream = std::make_shared<CompletionStream>();
    const absl::Status added = loop_->Call(
        [this, &request, &stream] { return loop_->batcher().Add(*std::move(request), stream); });
    if (!added.ok()) return ToGrpcStatus(added);
    const grpc::Status status = Write(*context, *stream, *writer);
    stream->cancelled = true;  // No effect on a request that ended.
    stream->events.Close();
    return status;
  }

 private:
  static grpc::Status Write(const grpc::ServerContext& context, CompletionStream& stream,
                            grpc::ServerWriter<v1::CompleteResponse>& writer) {
    for (;;) {
      std::optional<CompletionEvent> event = stream.events.Pop(kPollCancelledUs);
      if (context.IsCancelled()) return grpc::Status::CANCELLED;
      if (!event.has_value() && stream.events.closed()) {
        return ToGrpcStatus(absl::DeadlineExceededError("the answer was not read for too long"));
      }
      if (!event.has_value()) continue;
      if (auto* chunk = std::get_if<CompletionChunk>(&*event)) {
        if (!writer.Write(ToMessage(std::move(*chunk)))) return grpc::Status::CANCELLED;
        continue;
      }
      const CompletionEnd& end = std::get<CompletionEnd>(*event);
      if (!end.status.ok()) return ToGrpcStatus(end.status);
      writer.Write(ToMessage(end));
      return grpc::Status::OK;
    }
  }

  const Model* const model_;
  const Tokenizer* const tokenizer_;
  ServingLoop* const loop_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCompletionService(const Model* model, const Tokenizer* tokenizer,
                                                     ServingLoop* loop) {
  return std::make_unique<CompletionServiceImpl>(model, tokenizer, loop);
}

}  // namespace alchemist
