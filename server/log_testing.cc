#include "server/log_testing.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/logging.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace alchemist {

std::string FreshDirectory() {
  std::string path = absl::StrCat(testing::TempDir(), "/log-XXXXXX");
  PCHECK(mkdtemp(path.data()) != nullptr) << path;
  return path;
}

std::unique_ptr<FeedbackLog> OpenLog(const std::string& directory,
                                     const FeedbackLog::Options& options) {
  auto log = FeedbackLog::Open(directory, options);
  CHECK(log.ok()) << log.status();
  return *std::move(log);
}

absl::Status Transact(FeedbackLog* log, absl::FunctionRef<absl::Status(FeedbackLog&)> work) {
  RETURN_IF_ERROR(log->Begin());
  const absl::Status status = log->RunNested(work);
  if (!status.ok()) {
    log->Rollback();
    return status;
  }
  return log->Commit();
}

CompletionRow TestCompletion(const std::string& id) {
  CompletionRow completion;
  completion.completion_id = id;
  completion.base = {"base-digest", "tokenizer-digest"};
  completion.revision = {"default", 3, "revision-digest"};
  Random random(std::stoull(Sha256Hex(id).substr(0, 16), nullptr, 16));
  for (int i = 0; i < 40; ++i) {
    completion.prompt_tokens.push_back(static_cast<int32_t>(random.Below(50'000)));
  }
  for (int i = 0; i < 8; ++i) {
    completion.response_tokens.push_back(static_cast<int32_t>(random.Below(50'000)));
    completion.log_probs.push_back(-static_cast<float>(random.Uniform()));
  }
  completion.finish_reason = FinishReason::kStop;
  completion.created_unix_us = 1'700'000'000'000'000;
  return completion;
}

NewFeedback TestRating(const std::string& feedback_id, const std::string& completion_id,
                       int32_t value) {
  NewFeedback feedback;
  feedback.feedback_id = feedback_id;
  feedback.idempotency_key = absl::StrCat("key-", feedback_id);
  feedback.completion_id = completion_id;
  feedback.rating = value;
  feedback.disposition = value > 0 ? Disposition::kRecordHeld : Disposition::kNotTrainedYet;
  feedback.submitted_unix_us = 1'700'000'000'000'001;
  return feedback;
}

NewFeedback TestCorrection(const std::string& feedback_id, const std::string& completion_id,
                           const std::string& text) {
  NewFeedback feedback = TestRating(feedback_id, completion_id, 1);
  feedback.rating = 0;
  feedback.correction_text = text;
  feedback.correction_tokens = {7, std::stoi(Sha256Hex(text).substr(0, 4), nullptr, 16), 2};
  return feedback;
}

absl::Status AddCompletion(FeedbackLog* log, const CompletionRow& completion) {
  return Transact(log, [&](FeedbackLog& l) { return l.completions().Add(completion); });
}

absl::StatusOr<AddedFeedback> AddFeedback(FeedbackLog* log, const NewFeedback& feedback) {
  absl::StatusOr<AddedFeedback> added = absl::UnknownError("not run");
  const absl::Status status = Transact(log, [&](FeedbackLog& l) {
    added = l.feedback().Add(feedback);
    return added.status();
  });
  if (!status.ok()) return status;
  return added;
}

absl::StatusOr<FeedbackRow> GetFeedback(FeedbackLog* log, const std::string& feedback_id) {
  absl::StatusOr<FeedbackRow> row = absl::UnknownError("not run");
  const absl::Status status = Transact(log, [&](FeedbackLog& l) {
    row = l.feedback().Get(feedback_id);
    return row.status();
  });
  if (!status.ok()) return status;
  return row;
}

}  // namespace alchemist
