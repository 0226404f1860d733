#include "server/request_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

// Without payloads, like the pushback of a refusal.
std::string Text(const absl::Status& status) {
  return status.ToString(absl::StatusToStringMode::kWithNoExtraData);
}

}  // namespace

std::string RequestLogId(const CompletionRequest& request) {
  return absl::StrCat("request ", request.request_id);
}

std::string RequestLogId(const Sequence& sequence) {
  std::string id = RequestLogId(sequence.request);
  if (sequence.request.choices > 1) absl::StrAppend(&id, " choice ", sequence.choice);
  if (sequence.revision != nullptr)
    absl::StrAppend(&id, " revision ", sequence.revision->id.number);
  return id;
}

void RequestLog::Write(bool is_warning, absl::string_view line, Limit& limit) {
  const int64_t now_us = clock_->MonotonicUs();
  if (now_us < limit.next_us && !VLOG_IS_ON(1)) {
    ++limit.left_out;
    return;
  }
  limit.next_us = now_us + kIntervalUs;
  const int64_t left_out = std::exchange(limit.left_out, 0);
  std::string rest;
  if (left_out > 0) rest = absl::StrCat(" (", left_out, " more such lines were left out)");
  LOG_IF(WARNING, is_warning) << line << rest;
  LOG_IF(INFO, !is_warning) << line << rest;
}

void RequestLog::Refused(const CompletionRequest& request, const absl::Status& why) {
  Write(true, absl::StrCat(RequestLogId(request), " was refused: ", Text(why)), refused_);
}

void RequestLog::Ended(const Sequence& sequence, const absl::Status& why) {
  const bool failed = !absl::IsCancelled(why);
  Write(failed,
        absl::StrCat(RequestLogId(sequence), failed ? " failed: " : " was cancelled: ", Text(why)),
        failed ? failed_ : cancelled_);
}

void RequestLog::Preempted(const Sequence& sequence) {
  Write(false,
        absl::StrCat(RequestLogId(sequence), " was preempted and waits again, preemptions ",
                     sequence.preemptions),
        preempted_);
}

void RequestLog::Finished(const Sequence& sequence, const CompletionEnd& end) const {
  VLOG(1) << RequestLogId(sequence) << " finished as completion " << end.completion_id
          << ": prompt_tokens " << end.prompt_tokens << " cached_tokens " << end.cached_tokens
          << " completion_tokens " << end.completion_tokens << " recorded " << end.recorded
          << " after " << clock_->MonotonicUs() - sequence.queued_us << " us";
}

}  // namespace alchemist
