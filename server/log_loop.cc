#include "server/log_loop.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"

namespace alchemist {

LogLoop::LogLoop(std::unique_ptr<FeedbackLog> log, const Options& options)
    : log_(std::move(log)), options_(options), queue_(options.queue_commands) {}

absl::Status LogLoop::Post(LogWork work, LogDone done) {
  if (queue_.TryPush({std::move(work), std::move(done), absl::OkStatus()})) return absl::OkStatus();
  if (queue_.closed()) return absl::UnavailableError("the server is stopping");
  return absl::ResourceExhaustedError(
      absl::StrCat("the log's queue is full: ", options_.queue_commands, " commands wait"));
}

bool LogLoop::RunOnce(int64_t wait_us) {
  std::optional<Command> first = queue_.Pop(wait_us);
  if (!first.has_value()) return !queue_.closed() || queue_.size() > 0;
  std::vector<Command> group;
  if (const absl::Status status = RunGroup(*std::move(first), &group); !status.ok()) {
    LOG_EVERY_T(WARNING, 10) << "a group of " << group.size() << " log commands failed: " << status;
    // After a failed fsync the log refuses them all without touching the file.
    for (Command& command : group) command.outcome = RunAlone(command);
  }
  for (Command& command : group) command.done(std::move(command.outcome));
  KILL_POINT("log.after_ack");
  if (const absl::Status status = log_->CheckpointWhenDue(); !status.ok()) {
    LOG_EVERY_T(WARNING, 10) << "a checkpoint of the log failed: " << status;
  }
  return true;
}

// Runs `first` and what is queued behind it, appends them to `group` with their outcomes, and
// commits. An error is that of the whole transaction, which then has no effect.
absl::Status LogLoop::RunGroup(Command first, std::vector<Command>* group) {
  const int64_t end_us = options_.clock->MonotonicUs() + options_.group_us;
  group->push_back(std::move(first));
  RETURN_IF_ERROR(log_->Begin());
  for (;;) {
    Command& command = group->back();
    command.outcome = log_->RunNested(command.work);
    if (!log_->in_transaction()) return command.outcome;
    if (static_cast<int64_t>(group->size()) >= options_.group_commands) break;
    if (options_.clock->MonotonicUs() >= end_us) break;
    std::optional<Command> next = queue_.TryPop();
    if (!next.has_value()) break;
    group->push_back(*std::move(next));
  }
  return Commit();
}

absl::Status LogLoop::RunAlone(const Command& command) {
  RETURN_IF_ERROR(log_->Begin());
  const absl::Status status = log_->RunNested(command.work);
  if (!status.ok()) {
    log_->Rollback();
    return status;
  }
  return Commit();
}

absl::Status LogLoop::Commit() {
  if (!log_->has_writes()) return log_->Commit();
  KILL_POINT("log.before_commit");
  RETURN_IF_ERROR(log_->Commit());
  KILL_POINT("log.after_commit");
  return absl::OkStatus();
}

absl::Status LogLoop::CloseLog() {
  const absl::Status status = log_->Close();
  log_.reset();
  return status;
}

}  // namespace alchemist
