// What Batcher does about readers: those that are gone, and those that do not keep up. They stop
// their own requests and nobody else's: who wants a place or pages gets those of who does not read.
#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "server/batcher.h"

namespace alchemist {
namespace {

// A reader that is behind for so long keeps no place from others. Below it is a network's hiccup.
constexpr int64_t kBehindUs = 100'000;

}  // namespace

bool Batcher::HasWork() const {
  return waiting_.size() > 0 ||
         std::any_of(running_.begin(), running_.end(),
                     [](const SequencePtr& sequence) { return sequence->stream->HasRoom(); });
}

// Ends those whose call is gone, who were aborted, or whose reader takes nothing.
void Batcher::DropGone() {
  for (const SequencePtr& sequence : running_) sequence->finished = EndIfGone(*sequence);
  RemoveFinished();
  std::erase_if(set_aside_, [this](const SequencePtr& sequence) {
    if (!EndIfGone(*sequence)) return false;
    waiting_.Done(sequence->request.tenant);
    return true;
  });
  waiting_.RemoveIf([this](const SequencePtr& sequence) { return EndIfGone(*sequence); });
  EndUnreadCalls();
}

bool Batcher::EndIfGone(Sequence& sequence) {
  if (sequence.stream->abandoned()) {
    EndUnread(sequence);  // As another choice of the same call was.
  } else if (sequence.stream->cancelled()) {
    ++counters_.cancelled;
    log_.Ended(sequence, absl::CancelledError("its call has ended"));
    EndRecord(sequence);
  } else if (sequence.aborted) {
    ++counters_.aborted;
    Fail(sequence, absl::CancelledError("ended by Abort"));
  } else if (ReaderIsGone(sequence)) {
    EndUnread(sequence);
  } else {
    return false;
  }
  return true;
}

bool Batcher::ReaderIsGone(Sequence& sequence) const {
  if (sequence.stream->HasRoom()) {
    sequence.no_room_since_us = 0;
    sequence.unread.Reset();
    return false;
  }
  const int64_t now_us = parts_.clock->MonotonicUs();
  if (sequence.no_room_since_us == 0) sequence.no_room_since_us = now_us;
  return sequence.unread.Us(*sequence.stream, now_us) >= options_.reader_timeout_us;
}

void Batcher::EndUnread(Sequence& sequence) {
  ++counters_.unread;
  EndRecord(sequence);
  CompletionEnd end;
  end.status = absl::DeadlineExceededError("the answer was not read for too long");
  log_.Ended(sequence, end.status);
  sequence.stream->Abandon(std::move(end));
}

// One that runs, whose reader has been behind for longest, if any has for long enough.
bool Batcher::SetAsideUnread() {
  const int64_t now_us = parts_.clock->MonotonicUs();
  auto unread = running_.end();
  for (auto it = running_.begin(); it != running_.end(); ++it) {
    const int64_t since_us = (*it)->no_room_since_us;
    if (since_us == 0 || now_us - since_us < kBehindUs) continue;
    if (unread == running_.end() || since_us < (*unread)->no_room_since_us) unread = it;
  }
  if (unread == running_.end()) return false;
  GiveBack(**unread);
  set_aside_.push_back(std::move(*unread));
  running_.erase(unread);
  return true;
}

// Those whose readers have made room wait for their turn again.
void Batcher::TakeBackRead() {
  for (SequencePtr& sequence : set_aside_) {
    if (!sequence->stream->HasRoom()) continue;
    const CompletionRequest& request = sequence->request;
    waiting_.Return(request.tenant, request.priority, std::move(sequence));
  }
  std::erase(set_aside_, nullptr);
}

// Ends the one that was set aside first.
bool Batcher::DropSetAside() {
  if (set_aside_.empty()) return false;
  const SequencePtr first = std::move(set_aside_.front());
  set_aside_.erase(set_aside_.begin());
  if (!EndIfGone(*first)) EndUnread(*first);
  waiting_.Done(first->request.tenant);
  return true;
}

void Batcher::PushEnd(const Sequence& sequence, CompletionEnd end) {
  sequence.stream->Push(std::move(end));
  const bool known = std::any_of(ended_.begin(), ended_.end(), [&](const EndedCall& call) {
    return call.stream == sequence.stream;
  });
  if (!known) ended_.push_back({sequence.stream, RequestLogId(sequence.request), {}});
}

// An answer that has ended may lie here and in a connection's buffers, and no reader come for it.
void Batcher::EndUnreadCalls() {
  const int64_t now_us = parts_.clock->MonotonicUs();
  std::erase_if(ended_, [&](EndedCall& call) {
    if (call.stream->cancelled() || call.stream->abandoned()) return true;
    if (!call.stream->complete()) return false;  // Other choices run or wait.
    if (call.unread.Us(*call.stream, now_us) < options_.reader_timeout_us) return false;
    CompletionEnd end;
    end.status = absl::DeadlineExceededError("the answer was not read for too long");
    LOG_EVERY_T(INFO, 1) << call.log_id << " has ended and is not read: its call is, too";
    call.stream->Abandon(std::move(end));
    return true;
  });
}

}  // namespace alchemist
