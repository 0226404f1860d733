#include "tools/quickstart/feedback_clients.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

constexpr int kCorrecting = 2;
constexpr int kWatching = 2;
constexpr int64_t kLookAgainUs = 20'000;  // When there is nothing to ask yet.

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

}  // namespace

FeedbackClients::FeedbackClients(AlchemistClient* client, const World& world,
                                 absl::Span<const Fact> facts, const Pace& pace)
    : client_(client), lessons_(static_cast<int64_t>(facts.size()), pace) {
  for (const Fact& fact : facts) {
    ask_.push_back(MakeQuiz(world, {&fact, 1}, FormUse::kAsk));
    watch_.push_back(MakeQuiz(world, {&fact, 1}, FormUse::kWatch));
  }
}

void FeedbackClients::Start() {
  threads_.Start(kCorrecting, [this] { return CorrectNext(); });
  threads_.Start(kWatching, [this] { return WatchNext(); });
}

// Only upwards: answers come in another order than they were made.
void FeedbackClients::OnServing(uint64_t revision) {
  uint64_t known = serving_;
  while (known < revision && !serving_.compare_exchange_weak(known, revision)) {
  }
}

void FeedbackClients::OnFeedbackServed(const std::string& feedback_id) {
  MutexLock lock(&mutex_);
  lessons_.OnServed(feedback_id);
}

Lessons::Counts FeedbackClients::counts() const {
  MutexLock lock(&mutex_);
  return lessons_.counts();
}

bool FeedbackClients::Finished(uint64_t serving) const {
  MutexLock lock(&mutex_);
  return lessons_.Finished(serving);
}

std::vector<double> FeedbackClients::SecondsToServed() const {
  MutexLock lock(&mutex_);
  return lessons_.SecondsToServed();
}

absl::StatusOr<int64_t> FeedbackClients::CorrectNext() {
  std::optional<int64_t> fact;
  {
    MutexLock lock(&mutex_);
    if (lessons_.counts().begun == static_cast<int64_t>(ask_.size())) return ClientThreads::kDone;
    fact = lessons_.Begin(NowUs());
  }
  if (!fact.has_value()) return kLookAgainUs;
  for (const QuizItem& item : ask_[static_cast<size_t>(*fact)]) {
    RETURN_IF_ERROR(AskAndTell(*fact, item));
  }
  MutexLock lock(&mutex_);
  lessons_.OnAllGiven(*fact);
  return 0;
}

// A wrong answer is corrected, a right one is praised.
absl::Status FeedbackClients::AskAndTell(int64_t fact, const QuizItem& item) {
  ASSIGN_OR_RETURN(const Reply reply, Ask(*client_, item));
  OnServing(reply.revision);
  const std::string key = absl::StrCat("asked-", reply.completion_id);
  ASSIGN_OR_RETURN(
      const v1::SubmitFeedbackResponse response,
      client_->SubmitFeedback(reply.right ? RatingOf(reply.completion_id, key, 1)
                                          : CorrectionOf(reply.completion_id, key, item.answer)));
  if (response.disposition() == v1::DISPOSITION_REJECTED) {
    return absl::InternalError(
        absl::StrCat("feedback ", response.feedback_id(), " rejected: ", response.reason()));
  }
  MutexLock lock(&mutex_);
  lessons_.OnFeedback(fact, response.feedback_id(), !reply.right, reply.revision, NowUs());
  return absl::OkStatus();
}

// Half of the facts are watched in one form, half in the other. A wrong answer is rated -1, as a
// user would; so it is not replayed as one that nobody minded.
absl::StatusOr<int64_t> FeedbackClients::WatchNext() {
  std::optional<int64_t> fact;
  {
    MutexLock lock(&mutex_);
    fact = lessons_.NextWatch(serving_);
  }
  if (!fact.has_value()) return kLookAgainUs;
  const auto index = static_cast<size_t>(*fact);
  const QuizItem& item = watch_[index][index % watch_[index].size()];
  ASSIGN_OR_RETURN(const Reply reply, Ask(*client_, item));
  const int64_t answered_us = NowUs();
  OnServing(reply.revision);
  if (!reply.right) {
    const std::string key = absl::StrCat("watched-", reply.completion_id);
    RETURN_IF_ERROR(client_->SubmitFeedback(RatingOf(reply.completion_id, key, -1)).status());
  }
  MutexLock lock(&mutex_);
  lessons_.OnWatched(*fact, reply.revision, reply.right, answered_us);
  return 0;
}

}  // namespace alchemist
