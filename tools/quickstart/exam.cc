#include "tools/quickstart/exam.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr int kClients = 8;

}  // namespace

Exam::Exam(AlchemistClient* client, std::vector<QuizItem> quiz, uint64_t revision)
    : client_(client), quiz_(std::move(quiz)), revision_(revision) {}

void Exam::Start() {
  threads_.Start(kClients, [this] { return AskNext(); });
}

absl::StatusOr<int64_t> Exam::AskNext() {
  const size_t index = next_++;
  if (index >= quiz_.size()) return ClientThreads::kDone;
  ASSIGN_OR_RETURN(const Reply reply, Ask(*client_, quiz_[index]));
  if (reply.revision != revision_) {
    return absl::FailedPreconditionError(
        absl::StrCat("revision ", reply.revision, " answered, ", revision_, " is examined"));
  }
  if (reply.right) ++right_;
  ++asked_;
  return 0;
}

}  // namespace alchemist
