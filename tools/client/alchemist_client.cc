#include "tools/client/alchemist_client.h"

#include <grpcpp/grpcpp.h>
#include <sys/random.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/logging.h"
#include "base/random.h"
#include "proto/alchemist/v1/admin.grpc.pb.h"
#include "proto/alchemist/v1/completion.grpc.pb.h"
#include "proto/alchemist/v1/feedback.grpc.pb.h"
#include "proto/alchemist/v1/model.grpc.pb.h"
#include "server/call_metadata.h"
#include "server/retry_pushback.h"
#include "tools/client/retry.h"

namespace alchemist {
namespace {

constexpr int64_t kPageSize = 1000;
// How long a channel waits before it connects again: at first, and at most. Until then calls fail
// without a try, so it must be as short as the waits between tries; gRPC's own would be 1 s to 120.
constexpr int kReconnectFirstMs = 100;
constexpr int kReconnectMaxMs = 1'000;

uint64_t RandomSeed() {
  uint64_t seed = 0;
  PCHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
  return seed;
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  // The codes are the same numbers in both.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

class GrpcAlchemistClient final : public AlchemistClient {
 public:
  GrpcAlchemistClient(const std::string& address, const Options& options) : options_(options) {
    grpc::ChannelArguments arguments;
    // A connection of this client's own: another one to the same address shares no fate with it.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
    const auto channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    completions_ = v1::CompletionService::NewStub(channel);
    feedback_ = v1::FeedbackService::NewStub(channel);
    admin_ = v1::AdminService::NewStub(channel);
    model_ = v1::ModelService::NewStub(channel);
  }

  absl::StatusOr<Answer> Complete(const v1::CompleteRequest& request, const OnChunk& on_chunk,
                                  const OnStarted& on_started) override {
    Answer answer;
    bool chunk_came = false;
    RETURN_IF_ERROR(WithRetries(
        [&](grpc::ClientContext& context) {
          answer = Answer();
          const auto on_any_chunk = [&](const v1::CompletionChunk& chunk) {
            chunk_came = true;
            return on_chunk == nullptr || on_chunk(chunk);
          };
          return TryComplete(context, request, on_any_chunk, on_started, answer);
        },
        [&] { return !chunk_came; }));
    return answer;
  }

  absl::StatusOr<std::vector<std::string>> Abort(
      const std::vector<std::string>& request_ids) override {
    v1::AbortRequest request;
    request.mutable_request_ids()->Add(request_ids.begin(), request_ids.end());
    ASSIGN_OR_RETURN(const v1::AbortResponse response,
                     Call(*completions_, &v1::CompletionService::Stub::Abort, request));
    return std::vector<std::string>(response.request_ids().begin(), response.request_ids().end());
  }

  absl::StatusOr<v1::SubmitFeedbackResponse> SubmitFeedback(
      const v1::SubmitFeedbackRequest& request) override {
    return Call(*feedback_, &v1::FeedbackService::Stub::SubmitFeedback, request);
  }

  absl::StatusOr<v1::Feedback> GetFeedback(const std::string& feedback_id) override {
    v1::GetFeedbackRequest request;
    request.set_feedback_id(feedback_id);
    return Call(*feedback_, &v1::FeedbackService::Stub::GetFeedback, request);
  }

  absl::StatusOr<v1::ListFeedbackResponse> ListFeedbackPage(
      const v1::ListFeedbackRequest& request) override {
    return Call(*feedback_, &v1::FeedbackService::Stub::ListFeedback, request);
  }

  absl::StatusOr<std::vector<v1::Feedback>> ListFeedback() override {
    std::vector<v1::Feedback> all;
    v1::ListFeedbackRequest request;
    request.set_page_size(kPageSize);
    do {
      ASSIGN_OR_RETURN(const v1::ListFeedbackResponse page, ListFeedbackPage(request));
      all.insert(all.end(), page.feedback().begin(), page.feedback().end());
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return all;
  }

  absl::StatusOr<std::vector<int32_t>> Tokenize(const std::string& text,
                                                bool add_special_tokens) override {
    v1::TokenizeRequest request;
    request.set_text(text);
    request.set_add_special_tokens(add_special_tokens);
    ASSIGN_OR_RETURN(const v1::TokenizeResponse response,
                     Call(*model_, &v1::ModelService::Stub::Tokenize, request));
    return std::vector<int32_t>(response.tokens().begin(), response.tokens().end());
  }

  absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& tokens) override {
    v1::DetokenizeRequest request;
    request.mutable_tokens()->Add(tokens.begin(), tokens.end());
    ASSIGN_OR_RETURN(v1::DetokenizeResponse response,
                     Call(*model_, &v1::ModelService::Stub::Detokenize, request));
    return std::move(*response.mutable_text());
  }

  absl::StatusOr<v1::GetModelInfoResponse> GetModelInfo() override {
    return Call(*model_, &v1::ModelService::Stub::GetModelInfo, v1::GetModelInfoRequest());
  }

  absl::StatusOr<v1::GetLoadResponse> GetLoad() override {
    return Call(*model_, &v1::ModelService::Stub::GetLoad, v1::GetLoadRequest());
  }

  absl::StatusOr<v1::GetStatusResponse> GetStatus() override {
    return Call(*admin_, &v1::AdminService::Stub::GetStatus, v1::GetStatusRequest());
  }

  absl::StatusOr<std::vector<v1::RevisionInfo>> ListRevisions() override {
    std::vector<v1::RevisionInfo> all;
    v1::ListRevisionsRequest request;
    for (;;) {
      ASSIGN_OR_RETURN(const v1::ListRevisionsResponse page,
                       Call(*admin_, &v1::AdminService::Stub::ListRevisions, request));
      if (page.revisions().empty()) return all;
      all.insert(all.end(), page.revisions().begin(), page.revisions().end());
      request.set_first_number(static_cast<int64_t>(all.back().revision().number()) + 1);
    }
  }

  absl::StatusOr<v1::Revision> Rollback(uint64_t number) override {
    v1::RollbackRequest request;
    request.set_number(number);
    ASSIGN_OR_RETURN(v1::RollbackResponse response,
                     Call(*admin_, &v1::AdminService::Stub::Rollback, request));
    return std::move(*response.mutable_revision());
  }

  absl::Status Pin(bool pinned) override {
    v1::PinRequest request;
    request.set_pinned(pinned);
    return Call(*admin_, &v1::AdminService::Stub::Pin, request).status();
  }

  absl::Status PauseTraining() override {
    return Call(*admin_, &v1::AdminService::Stub::PauseTraining, v1::PauseTrainingRequest())
        .status();
  }

  absl::Status ResumeTraining() override {
    return Call(*admin_, &v1::AdminService::Stub::ResumeTraining, v1::ResumeTrainingRequest())
        .status();
  }

  absl::StatusOr<std::string> Inspect(const std::string& name) override {
    v1::InspectRequest request;
    request.set_name(name);
    ASSIGN_OR_RETURN(v1::InspectResponse response,
                     Call(*admin_, &v1::AdminService::Stub::Inspect, request));
    return std::move(*response.mutable_text());
  }

  absl::StatusOr<v1::DumpRecordResponse> DumpRecord(const std::string& id) override {
    v1::DumpRecordRequest request;
    request.set_id(id);
    return Call(*admin_, &v1::AdminService::Stub::DumpRecord, request);
  }

 private:
  // Makes a call by `attempt`, until it is done, or failed for good or too often, or `may_retry`
  // says no.
  absl::Status WithRetries(
      const std::function<absl::Status(grpc::ClientContext&)>& attempt,
      const std::function<bool()>& may_retry = [] { return true; }) const {
    // gRPC would end the process over a value that is no printable ASCII.
    RETURN_IF_ERROR(CheckTenant(options_.tenant));
    const int64_t deadline_us = options_.clock->MonotonicUs() + options_.timeout_us;
    for (int64_t retries = 0;; ++retries) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() +
                           std::chrono::microseconds(deadline_us - options_.clock->MonotonicUs()));
      if (!options_.tenant.empty()) context.AddMetadata(kTenantKey, options_.tenant);
      const absl::Status status = WithPushback(attempt(context), context);
      if (status.ok() || retries >= options_.retries_max || !may_retry()) return status;
      Random random(RandomSeed());
      const std::optional<int64_t> wait_us =
          RetryWaitUs(retries, status, deadline_us - options_.clock->MonotonicUs(), random);
      if (!wait_us.has_value()) return status;
      Wait(*wait_us);
      if (options_.may_retry != nullptr && !options_.may_retry()) return status;
    }
  }

  void Wait(int64_t us) const {
    if (options_.wait != nullptr) return options_.wait(us);
    std::this_thread::sleep_for(std::chrono::microseconds(us));
  }

  absl::Status TryComplete(grpc::ClientContext& context, const v1::CompleteRequest& request,
                           const OnChunk& on_chunk, const OnStarted& on_started,
                           Answer& answer) const {
    const auto stream = completions_->Complete(&context, request);
    const int64_t choices = request.has_n() ? request.n() : 1;
    int64_t finals = 0;
    bool cancelled = false;
    v1::CompleteResponse response;
    while (stream->Read(&response)) {
      if (response.has_started()) {
        answer.request_id = response.started().request_id();
        if (on_started != nullptr) on_started(answer.request_id);
      } else if (response.has_prompt_logprobs()) {
        answer.prompt_logprobs = std::move(*response.mutable_prompt_logprobs());
      } else if (response.has_final()) {
        const int64_t index = response.final().index();
        if (Answer* choice = ChoiceOf(index, choices, answer)) {
          choice->final = std::move(*response.mutable_final());
        }
        ++finals;
      } else if (response.has_chunk()) {
        const v1::CompletionChunk& chunk = response.chunk();
        if (Answer* choice = ChoiceOf(chunk.index(), choices, answer)) AddChunk(chunk, *choice);
        if (!cancelled && !on_chunk(chunk)) {
          cancelled = true;
          context.TryCancel();
        }
      }
    }
    const absl::Status status = FromGrpcStatus(stream->Finish());
    // Whatever the server had said before it heard of it.
    if (cancelled) return absl::CancelledError("Complete: its caller wants no more chunks");
    RETURN_IF_ERROR(status);
    if (finals < choices) return absl::DataLossError("Complete: the stream ended without its end");
    return absl::OkStatus();
  }

  // Null for an index that was not asked for: the server's number is not trusted.
  static Answer* ChoiceOf(int64_t index, int64_t choices, Answer& answer) {
    if (index == 0) return &answer;
    if (index < 0 || index >= choices) return nullptr;
    if (index > static_cast<int64_t>(answer.others.size())) answer.others.resize(index);
    return &answer.others[index - 1];
  }

  static void AddChunk(const v1::CompletionChunk& chunk, Answer& answer) {
    answer.text += chunk.text();
    answer.token_ids.insert(answer.token_ids.end(), chunk.token_ids().begin(),
                            chunk.token_ids().end());
    answer.log_probs.insert(answer.log_probs.end(), chunk.logprobs().begin(),
                            chunk.logprobs().end());
    answer.top_logprobs.insert(answer.top_logprobs.end(), chunk.top_logprobs().begin(),
                               chunk.top_logprobs().end());
  }

  static absl::Status WithPushback(absl::Status status, const grpc::ClientContext& context) {
    const auto& metadata = context.GetServerTrailingMetadata();
    const auto pushback = metadata.find(kRetryPushbackKey);
    int64_t pushback_ms = 0;
    if (status.ok() || pushback == metadata.end()) return status;
    if (!absl::SimpleAtoi({pushback->second.data(), pushback->second.size()}, &pushback_ms)) {
      return status;
    }
    return WithRetryPushback(std::move(status), pushback_ms);
  }

  // A unary call.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) const {
    Response response;
    RETURN_IF_ERROR(WithRetries([&](grpc::ClientContext& context) {
      return FromGrpcStatus((stub.*method)(&context, request, &response));
    }));
    return response;
  }

  const Options options_;
  std::unique_ptr<v1::CompletionService::Stub> completions_;
  std::unique_ptr<v1::FeedbackService::Stub> feedback_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::ModelService::Stub> model_;
};

}  // namespace

std::unique_ptr<AlchemistClient> AlchemistClient::Create(const std::string& address,
                                                         const Options& options) {
  return std::make_unique<GrpcAlchemistClient>(address, options);
}

}  // namespace alchemist
