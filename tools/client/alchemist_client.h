// AlchemistClient: a client of alchemist-server: completions, feedback, the model and
// administration as plain blocking calls, tried again where the protocol allows it. Any thread may
// call, several at once. A client is one HTTP/2 connection of its own, and the server lets 100
// calls run on one: those beyond wait inside gRPC, unseen, until others end, and so would an Abort.
// Who has more in flight makes more clients.
#ifndef ALCHEMIST_TOOLS_CLIENT_ALCHEMIST_CLIENT_H_
#define ALCHEMIST_TOOLS_CLIENT_ALCHEMIST_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "proto/alchemist/v1/completion.pb.h"
#include "proto/alchemist/v1/feedback.pb.h"
#include "proto/alchemist/v1/model.pb.h"

namespace alchemist {

// A whole answer: its chunks put together, and what the server said at its end. Where several
// choices were asked for, the first one.
struct Answer {
  std::string request_id;
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<float> log_probs;               // Of token_ids, when they were asked for.
  std::vector<v1::TopLogprobs> top_logprobs;  // The same.
  v1::PromptLogprobs prompt_logprobs;         // The same.
  v1::CompletionFinal final;
  std::vector<Answer> others;  // The further choices, in order: texts, tokens and finals.
};

class AlchemistClient {
 public:
  // Called with the id that Abort takes, when the server has accepted the request: again with a new
  // id when the request is tried again, and the one before then is ended.
  using OnStarted = std::function<void(const std::string& request_id)>;
  // Called with every chunk as it comes; false cancels the call: it is CANCELLED, however the
  // server ended it, and no further chunk is passed on.
  using OnChunk = std::function<bool(const v1::CompletionChunk&)>;

  struct Options {
    // A call that is not answered by then, all tries and the waits between them included, is
    // DEADLINE_EXCEEDED, or what the last try came to when there is no time for another.
    int64_t timeout_us = 60'000'000;
    // In whose name it calls; "" = none. With one that the server would not take, every call is
    // INVALID_ARGUMENT.
    std::string tenant = {};
    // How often a call is tried again that failed with what may pass: RetryWaitUs says what that is
    // and how long it waits. Five tries in all are what gRPC's own retry policies allow, too.
    int64_t retries_max = 4;
    // For tests, so that they wait for nothing: what time it is, and how to wait; unset: sleeps.
    const Clock* clock = Clock::Real();
    std::function<void(int64_t us)> wait = nullptr;
    // Asked after each wait; false: the last try's status is the call's. Unset: true.
    std::function<bool()> may_retry = nullptr;
  };
  // `address` is host:port. Nothing is sent before the first call, which connects. Without a server
  // a call is UNAVAILABLE.
  static std::unique_ptr<AlchemistClient> Create(const std::string& address,
                                                 const Options& options);
  static std::unique_ptr<AlchemistClient> Create(const std::string& address) {
    return Create(address, Options());
  }
  virtual ~AlchemistClient() = default;

  // The status of a call is the server's: its code, and a message that names field and limit.
  // Where the server says when to try again, RetryPushbackMs of the status has it.
  //
  // All calls are safe to repeat, even when the first try was done and only its answer lost. Those
  // that get something change nothing; feedback has an idempotency key; Rollback, Pin,
  // PauseTraining, ResumeTraining and Abort say what is to hold afterwards, not what is to change.
  // Lists are tried again page by page, each with a timeout of its own.

  // Tried again only as long as no chunk has come: what `on_chunk` was given cannot be taken back,
  // and another try may sample another answer. DATA_LOSS when the stream ended well but without the
  // final message of every choice.
  virtual absl::StatusOr<Answer> Complete(const v1::CompleteRequest& request,
                                          const OnChunk& on_chunk = nullptr,
                                          const OnStarted& on_started = nullptr) = 0;
  // Returns those of `request_ids` that had not ended. What a try ended whose answer was lost is
  // not among them.
  virtual absl::StatusOr<std::vector<std::string>> Abort(
      const std::vector<std::string>& request_ids) = 0;

  // DUPLICATE, too, when an earlier try was accepted and its answer lost.
  virtual absl::StatusOr<v1::SubmitFeedbackResponse> SubmitFeedback(
      const v1::SubmitFeedbackRequest& request) = 0;
  virtual absl::StatusOr<v1::Feedback> GetFeedback(const std::string& feedback_id) = 0;
  // All feedback, page after page.
  virtual absl::StatusOr<std::vector<v1::Feedback>> ListFeedback() = 0;
  virtual absl::StatusOr<v1::ListFeedbackResponse> ListFeedbackPage(
      const v1::ListFeedbackRequest& request) = 0;

  virtual absl::StatusOr<std::vector<int32_t>> Tokenize(const std::string& text,
                                                        bool add_special_tokens = true) = 0;
  virtual absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& tokens) = 0;
  virtual absl::StatusOr<v1::GetModelInfoResponse> GetModelInfo() = 0;
  virtual absl::StatusOr<v1::GetLoadResponse> GetLoad() = 0;

  virtual absl::StatusOr<v1::GetStatusResponse> GetStatus() = 0;
  // All revisions of the default adapter, oldest first.
  virtual absl::StatusOr<std::vector<v1::RevisionInfo>> ListRevisions() = 0;
  virtual absl::StatusOr<v1::Revision> Rollback(uint64_t number) = 0;
  virtual absl::Status Pin(bool pinned) = 0;
  virtual absl::Status PauseTraining() = 0;
  virtual absl::Status ResumeTraining() = 0;
  virtual absl::StatusOr<std::string> Inspect(const std::string& name) = 0;
  // `id` is a record's number or a completion's id.
  virtual absl::StatusOr<v1::DumpRecordResponse> DumpRecord(const std::string& id) = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_CLIENT_ALCHEMIST_CLIENT_H_
