#include "server/completion_service.h"

#include <grpcpp/grpcpp.h>
#include <sys/random.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "proto/alchemist/v1/completion.grpc.pb.h"
#include "server/call_metadata.h"
#include "server/completion_request.h"
#include "server/completion_stream.h"
#include "server/grpc_status_service.h"
#include "server/ids.h"
#include "server/link_messages.h"
#include "server/request_log.h"
#include "server/retry_pushback.h"

namespace alchemist {
namespace {

constexpr int kAbortIdsMax = 1024;

uint64_t RandomSeed() {
  uint64_t seed = 0;
  PCHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
  return seed;
}

v1::CompleteResponse ToMessage(CompletionStarted started) {
  v1::CompleteResponse response;
  response.mutable_started()->set_request_id(std::move(started.request_id));
  return response;
}

v1::TopLogprobs ToMessage(const TopLogprobs& top) {
  v1::TopLogprobs message;
  message.mutable_token_ids()->Add(top.token_ids.begin(), top.token_ids.end());
  message.mutable_logprobs()->Add(top.logprobs.begin(), top.logprobs.end());
  return message;
}

v1::CompleteResponse ToMessage(PromptLogprobs prompt) {
  v1::CompleteResponse response;
  v1::PromptLogprobs& message = *response.mutable_prompt_logprobs();
  message.mutable_logprobs()->Add(prompt.logprobs.begin(), prompt.logprobs.end());
  for (const TopLogprobs& top : prompt.top) *message.add_top_logprobs() = ToMessage(top);
  return response;
}

v1::CompleteResponse ToMessage(CompletionChunk chunk) {
  v1::CompleteResponse response;
  v1::CompletionChunk& message = *response.mutable_chunk();
  message.set_index(chunk.choice);
  message.set_text(std::move(chunk.text));
  message.mutable_token_ids()->Add(chunk.token_ids.begin(), chunk.token_ids.end());
  message.mutable_logprobs()->Add(chunk.logprobs.begin(), chunk.logprobs.end());
  for (const TopLogprobs& top : chunk.top) *message.add_top_logprobs() = ToMessage(top);
  return response;
}

v1::CompleteResponse ToMessage(const CompletionEnd& end) {
  v1::CompleteResponse response;
  v1::CompletionFinal& message = *response.mutable_final();
  message.set_index(end.choice);
  message.set_completion_id(end.completion_id);
  *message.mutable_revision() = ToMessage(end.revision);
  message.mutable_usage()->set_prompt_tokens(end.prompt_tokens);
  message.mutable_usage()->set_completion_tokens(end.completion_tokens);
  message.mutable_usage()->set_cached_tokens(end.cached_tokens);
  message.set_finish_reason(static_cast<v1::FinishReason>(end.finish_reason));
  message.set_recorded(end.recorded);
  return response;
}

absl::StatusOr<std::string> TenantOf(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto tenant = metadata.find(kTenantKey);
  if (tenant == metadata.end()) return std::string();
  std::string name(tenant->second.data(), tenant->second.size());
  RETURN_IF_ERROR(CheckTenant(name));
  return name;
}

// One call of Complete: one write at a time, whatever the loop has ready. The loop's thread and
// gRPC's come in, so a mutex guards what stage the call is at; no gRPC operation is started under
// it.
class CompletionReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                                public std::enable_shared_from_this<CompletionReactor> {
 public:
  static std::shared_ptr<CompletionReactor> Make(grpc::CallbackServerContext* context) {
    std::shared_ptr<CompletionReactor> reactor(new CompletionReactor(context));
    reactor->self_ = reactor;
    return reactor;
  }

  void Begin(absl::StatusOr<CompletionRequest> request, ServingLoop* loop) {
    if (!request.ok()) return End(request.status());
    const auto stream =
        std::make_shared<CompletionStream>(request->choices, [weak = weak_from_this()] {
          if (const auto reactor = weak.lock(); reactor != nullptr) reactor->OnEvents();
        });
    {
      MutexLock lock(&mutex_);
      stream_ = stream;
      choices_left_ = request->choices;
    }
    const std::string log_id = RequestLogId(*request);
    const absl::Status posted =
        loop->TryPost([loop, stream, request = *std::move(request)]() mutable {
          CompletionEnd end;
          end.status = loop->batcher().Add(std::move(request), stream);
          if (!end.status.ok()) stream->Push(std::move(end));
        });
    if (!posted.ok()) {
      LOG_EVERY_T(WARNING, 1) << log_id << " was refused: " << posted;
      return End(posted);
    }
    WriteNext();
  }

 private:
  explicit CompletionReactor(grpc::CallbackServerContext* context) : context_(context) {}

  // The loop has something to write.
  void OnEvents() {
    bool abandoned = false;
    {
      MutexLock lock(&mutex_);
      abandoned = stream_->abandoned();
    }
    if (abandoned) CancelCall();
    WriteNext();
  }

  // What was written before is not read; nor would the end be. The call's context lives until the
  // call is finished, which WriteNext puts off meanwhile.
  void CancelCall() {
    {
      MutexLock lock(&mutex_);
      if (ended_) return;
      cancelling_ = true;
    }
    context_->TryCancel();
    MutexLock lock(&mutex_);
    cancelling_ = false;
  }

  void WriteNext() {
    std::optional<CompletionEvent> event;
    bool last = false;
    {
      MutexLock lock(&mutex_);
      if (ended_ || writing_ || cancelling_) return;
      event = stream_->Take();
      if (!event.has_value() && !stream_->cancelled()) return;
      last = !event.has_value() || IsLast(*event);
      (last ? ended_ : writing_) = true;
      if (last) stream_->Cancel();  // Nobody reads what is still said.
    }
    if (!event.has_value()) return Finish(grpc::Status::CANCELLED);
    const auto* end = std::get_if<CompletionEnd>(&*event);
    if (end != nullptr && !end->status.ok()) return FinishWith(end->status);
    Serialize(std::visit([](auto& of_kind) { return ToMessage(std::move(of_kind)); }, *event));
    if (last) return StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
    StartWrite(&response_);
  }

  // Counts the choices that have ended. An error ends them all.
  bool IsLast(const CompletionEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto* end = std::get_if<CompletionEnd>(&event);
    if (end == nullptr) return false;
    return !end->status.ok() || --choices_left_ == 0;
  }

  void Serialize(const v1::CompleteResponse& message) {
    response_.Clear();
    bool own_buffer = false;
    const grpc::Status status = grpc::SerializationTraits<v1::CompleteResponse>::Serialize(
        message, &response_, &own_buffer);
    CHECK(status.ok()) << status.error_message();
  }

  // Before anything was handed to the loop.
  void End(const absl::Status& status) {
    {
      MutexLock lock(&mutex_);
      ended_ = true;
    }
    FinishWith(status);
  }

  void FinishWith(const absl::Status& status) {
    if (const std::optional<int64_t> pushback_ms = RetryPushbackMs(status)) {
      context_->AddTrailingMetadata(kRetryPushbackKey, absl::StrCat(*pushback_ms));
    }
    Finish(ToGrpcStatus(status));
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(&mutex_);
      if (!ok) stream_->Cancel();
      writing_ = false;
    }
    WriteNext();
  }

  // Also when the call's deadline has passed.
  void OnCancel() override {
    {
      MutexLock lock(&mutex_);
      if (stream_ == nullptr) return;
      stream_->Cancel();
    }
    WriteNext();
  }

  void OnDone() override { self_.reset(); }

  grpc::CallbackServerContext* const context_;
  std::shared_ptr<CompletionReactor> self_;  // Until gRPC is done with it.
  grpc::ByteBuffer response_;                // Being written.
  Mutex mutex_;
  std::shared_ptr<CompletionStream> stream_ ABSL_GUARDED_BY(mutex_);  // Null: refused at once.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelling_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t choices_left_ ABSL_GUARDED_BY(mutex_) = 0;  // Their end was not taken yet.
};

// Complete's messages are parsed here: gRPC would answer what it cannot parse, like a text that is
// no UTF-8, with UNIMPLEMENTED.
class CompletionServiceImpl final
    : public v1::CompletionService::WithRawCallbackMethod_Complete<v1::CompletionService::Service> {
 public:
  CompletionServiceImpl(const Model* model, const Tokenizer* tokenizer, ServingLoop* loop)
      : model_(model), tokenizer_(tokenizer), loop_(loop) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Complete(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* message) override {
    const std::shared_ptr<CompletionReactor> reactor = CompletionReactor::Make(context);
    reactor->Begin(RequestOf(*context, *message), loop_);
    return reactor.get();
  }

  grpc::Status Abort(grpc::ServerContext* context, const v1::AbortRequest* message,
                     v1::AbortResponse* response) override {
    const absl::StatusOr<std::string> tenant = TenantOf(*context);
    if (!tenant.ok()) return ToGrpcStatus(tenant.status());
    if (message->request_ids_size() > kAbortIdsMax) {
      return ToGrpcStatus(absl::InvalidArgumentError(absl::StrCat(
          "request_ids: ", message->request_ids_size(), ", the limit is ", kAbortIdsMax)));
    }
    const std::set<std::string> ids(message->request_ids().begin(), message->request_ids().end());
    return ToGrpcStatus(loop_->Call([&] {
      for (std::string& id : loop_->batcher().Abort(ids, *tenant)) {
        response->add_request_ids(std::move(id));
      }
      return absl::OkStatus();
    }));
  }

 private:
  absl::StatusOr<CompletionRequest> RequestOf(const grpc::ServerContextBase& context,
                                              grpc::ByteBuffer bytes) const {
    v1::CompleteRequest message;
    if (!grpc::SerializationTraits<v1::CompleteRequest>::Deserialize(&bytes, &message).ok()) {
      return absl::InvalidArgumentError("no CompleteRequest, or a text in it is no UTF-8");
    }
    ASSIGN_OR_RETURN(const std::string tenant, TenantOf(context));
    ASSIGN_OR_RETURN(CompletionRequest request,
                     ParseCompleteRequest(message, *tokenizer_, model_->config(),
                                          loop_->tokens_max(), RandomSeed()));
    RETURN_IF_ERROR(CheckAdapterId(request.adapter_id));
    request.tenant = tenant;
    request.request_id = MintRequestId();
    return request;
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
