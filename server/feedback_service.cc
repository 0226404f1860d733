#include "server/feedback_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "proto/alchemist/v1/feedback.grpc.pb.h"
#include "server/feedback_table.h"
#include "server/grpc_status_service.h"
#include "server/ids.h"
#include "server/link_messages.h"
#include "server/log_call.h"

namespace alchemist {
namespace {

constexpr int64_t kKeyBytesMax = 128;
constexpr int64_t kCorrectionBytesMax = 64 << 10;
constexpr int64_t kPageDefault = 100;

absl::Status CheckRequest(const v1::SubmitFeedbackRequest& request) {
  const auto bad_length = [](absl::string_view field, const std::string& value, int64_t limit) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", value.size(), " bytes, allowed are 1 to ", limit));
  };
  const auto outside = [](const std::string& value, int64_t limit) {
    return value.empty() || static_cast<int64_t>(value.size()) > limit;
  };
  if (outside(request.completion_id(), kKeyBytesMax)) {
    return bad_length("completion_id", request.completion_id(), kKeyBytesMax);
  }
  if (outside(request.idempotency_key(), kKeyBytesMax)) {
    return bad_length("idempotency_key", request.idempotency_key(), kKeyBytesMax);
  }
  switch (request.kind_case()) {
    case v1::SubmitFeedbackRequest::kRating:
      if (request.rating().value() == 1 || request.rating().value() == -1) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat("rating.value: ", request.rating().value(), " is neither 1 nor -1"));
    case v1::SubmitFeedbackRequest::kCorrection:
      if (!outside(request.correction().text(), kCorrectionBytesMax)) return absl::OkStatus();
      return bad_length("correction.text", request.correction().text(), kCorrectionBytesMax);
    case v1::SubmitFeedbackRequest::KIND_NOT_SET:
      return absl::InvalidArgumentError("kind: neither rating nor correction is set");
  }
  return absl::InternalError("kind");
}

v1::FeedbackState StateOf(const FeedbackRow& row) {
  if (!row.trainable || !row.superseded_by.empty()) return v1::FEEDBACK_STATE_STORED;
  if (row.end == TrainingEnd::kQuarantined) return v1::FEEDBACK_STATE_QUARANTINED;
  if (row.end != TrainingEnd::kOpen) return v1::FEEDBACK_STATE_DONE;
  return row.passes > 0 ? v1::FEEDBACK_STATE_TRAINING : v1::FEEDBACK_STATE_QUEUED;
}

v1::Feedback ToMessage(const FeedbackRow& row) {
  v1::Feedback message;
  message.set_feedback_id(row.feedback_id);
  message.set_completion_id(row.completion_id);
  message.set_idempotency_key(row.idempotency_key);
  if (row.is_correction()) {
    message.mutable_correction()->set_text(row.correction_text);
  } else {
    message.mutable_rating()->set_value(row.rating);
  }
  message.set_disposition(static_cast<v1::Disposition>(row.disposition));
  message.set_state(StateOf(row));
  message.set_passes(row.passes);
  message.set_record_reused(row.record_reused);
  if (row.first_revision.has_value()) {
    *message.mutable_first_revision() = ToMessage(*row.first_revision);
  }
  message.set_submitted_unix_us(row.submitted_unix_us);
  message.set_reason(row.reason);
  if (!row.superseded_by.empty()) {
    message.set_reason(absl::StrCat("superseded by ", row.superseded_by));
  }
  return message;
}

class FeedbackServiceImpl final : public v1::FeedbackService::Service {
 public:
  FeedbackServiceImpl(const Model* model, const Tokenizer* tokenizer, const Clock* clock,
                      LogThread* log, ServingLoop* loop)
      : model_(model), tokenizer_(tokenizer), clock_(clock), log_(log), loop_(loop) {}

  grpc::Status SubmitFeedback(grpc::ServerContext*, const v1::SubmitFeedbackRequest* request,
                              v1::SubmitFeedbackResponse* response) override {
    const absl::Status status = Submit(*request, *response);
    if (!status.ok()) {
      // The client chose the id, which the status may name: whatever is in it stays on this line.
      VLOG(1) << "feedback on completion "
              << absl::CHexEscape(absl::StrCat(request->completion_id().substr(0, kKeyBytesMax),
                                               " was refused: ", status.ToString()));
    }
    return ToGrpcStatus(status);
  }

  grpc::Status GetFeedback(grpc::ServerContext*, const v1::GetFeedbackRequest* request,
                           v1::Feedback* response) override {
    return ToGrpcStatus(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(const FeedbackRow row, log.feedback().Get(request->feedback_id()));
      *response = ToMessage(row);
      return absl::OkStatus();
    }));
  }

  grpc::Status ListFeedback(grpc::ServerContext*, const v1::ListFeedbackRequest* request,
                            v1::ListFeedbackResponse* response) override {
    return ToGrpcStatus(List(*request, *response));
  }

 private:
  absl::Status Submit(const v1::SubmitFeedbackRequest& request,
                      v1::SubmitFeedbackResponse& response) {
    RETURN_IF_ERROR(CheckRequest(request));
    ASSIGN_OR_RETURN(const NewFeedback feedback, NewFeedbackOf(request));
    AddedFeedback added;
    RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(added, log.feedback().Add(feedback));
      return absl::OkStatus();
    }));
    KILL_POINT("feedback.committed");
    response.set_feedback_id(added.row.feedback_id);
    response.set_disposition(added.duplicate ? v1::DISPOSITION_DUPLICATE
                                             : static_cast<v1::Disposition>(added.row.disposition));
    response.set_reason(added.row.reason);
    const auto count = [this, disposition = response.disposition(),
                        trainable = added.row.trainable] {
      loop_->feed().OnFeedbackCommitted(disposition, trainable);
    };
    // What is not to be trained is only counted: nobody waits for that.
    const absl::Status posted = added.row.trainable ? loop_->Post(count) : loop_->TryPost(count);
    // It is durable: the next session reads it from the log.
    if (!posted.ok()) LOG(WARNING) << FeedbackLogId(added.row) << ": " << posted;
    VLOG(1) << FeedbackLogId(added.row)
            << " was accepted: " << v1::Disposition_Name(response.disposition());
    return absl::OkStatus();
  }

  absl::StatusOr<NewFeedback> NewFeedbackOf(const v1::SubmitFeedbackRequest& request) {
    CompletionRow completion;
    RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(completion, log.completions().Find(request.completion_id()));
      return absl::OkStatus();
    }));
    NewFeedback feedback;
    feedback.feedback_id = MintFeedbackId();
    feedback.tenant = completion.tenant;
    feedback.idempotency_key = request.idempotency_key();
    feedback.completion_id = request.completion_id();
    feedback.submitted_unix_us = clock_->WallUs();
    if (request.has_rating()) {
      feedback.rating = request.rating().value();
    } else {
      feedback.correction_text = request.correction().text();
      ASSIGN_OR_RETURN(feedback.correction_tokens,
                       CorrectionTokens(feedback.correction_text, completion));
    }
    ASSIGN_OR_RETURN(feedback.disposition, DispositionOf(feedback));
    return feedback;
  }

  // A continuation of the prompt, ended by the first EOS (DESIGN.md section 15, item 6).
  absl::StatusOr<std::vector<int32_t>> CorrectionTokens(const std::string& text,
                                                        const CompletionRow& completion) const {
    const ModelConfig& config = model_->config();
    ASSIGN_OR_RETURN(std::vector<int32_t> tokens, tokenizer_->EncodeContinuation(text));
    if (!config.eos_ids.empty()) tokens.push_back(config.eos_ids[0]);
    if (tokens.empty()) return absl::InvalidArgumentError("correction.text: has no tokens");
    const int64_t total = static_cast<int64_t>(completion.prompt_tokens.size() + tokens.size());
    if (total > config.context) {
      return absl::InvalidArgumentError(absl::StrCat("correction.text: prompt and correction have ",
                                                     total, " tokens, the limit is the context of ",
                                                     config.context));
    }
    return tokens;
  }

  // What is known at commit; GetFeedback says what happened.
  absl::StatusOr<Disposition> DispositionOf(const NewFeedback& feedback) {
    if (feedback.rating < 0) return Disposition::kNotTrainedYet;
    Disposition disposition = Disposition::kQueued;
    RETURN_IF_ERROR(loop_->Call([&] {
      if (!loop_->feed().active()) return absl::OkStatus();
      disposition = loop_->feed().HoldsRecord(feedback.completion_id) ? Disposition::kRecordHeld
                                                                      : Disposition::kWillRecompute;
      return absl::OkStatus();
    }));
    return disposition;
  }

  absl::Status List(const v1::ListFeedbackRequest& request, v1::ListFeedbackResponse& response) {
    const int64_t size = request.page_size() == 0 ? kPageDefault : request.page_size();
    if (size < 1 || size > FeedbackTable::kPageMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("page_size: ", size, " is not in [1, ", FeedbackTable::kPageMax, "]"));
    }
    int64_t after = 0;
    if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &after)) {
      return absl::InvalidArgumentError("page_token: not one of this server's");
    }
    FeedbackPage page;
    RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(page, log.feedback().List(after, size));
      return absl::OkStatus();
    }));
    for (const FeedbackRow& row : page.rows) *response.add_feedback() = ToMessage(row);
    if (page.more) response.set_next_page_token(absl::StrCat(page.rows.back().seq));
    return absl::OkStatus();
  }

  const Model* const model_;
  const Tokenizer* const tokenizer_;
  const Clock* const clock_;
  LogThread* const log_;
  ServingLoop* const loop_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFeedbackService(const Model* model, const Tokenizer* tokenizer,
                                                   const Clock* clock, LogThread* log,
                                                   ServingLoop* loop) {
  return std::make_unique<FeedbackServiceImpl>(model, tokenizer, clock, log, loop);
}

}  // namespace alchemist
