// Rows, directories and transactions for the tests of the feedback log. Test only; any thread.
#ifndef ALCHEMIST_SERVER_LOG_TESTING_H_
#define ALCHEMIST_SERVER_LOG_TESTING_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "server/feedback_log.h"
#include "server/log_rows.h"

namespace alchemist {

// A new empty directory below the test's own.
std::string FreshDirectory();

// Opens a log; fails the test when it cannot.
std::unique_ptr<FeedbackLog> OpenLog(const std::string& directory,
                                     const FeedbackLog::Options& options = {});

// Runs `work` in a transaction of its own.
absl::Status Transact(FeedbackLog* log, absl::FunctionRef<absl::Status(FeedbackLog&)> work);

// A finished answer of adapter "default"; its tokens and log-probs follow from `id`.
CompletionRow TestCompletion(const std::string& id);
NewFeedback TestRating(const std::string& feedback_id, const std::string& completion_id,
                       int32_t value);
NewFeedback TestCorrection(const std::string& feedback_id, const std::string& completion_id,
                           const std::string& text);

// Each in a transaction of its own.
absl::Status AddCompletion(FeedbackLog* log, const CompletionRow& completion);
absl::StatusOr<AddedFeedback> AddFeedback(FeedbackLog* log, const NewFeedback& feedback);
absl::StatusOr<FeedbackRow> GetFeedback(FeedbackLog* log, const std::string& feedback_id);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LOG_TESTING_H_
