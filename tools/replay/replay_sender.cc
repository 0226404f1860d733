#include "tools/replay/replay_sender.h"

#include <utility>

#include "tools/client/requests.h"

namespace alchemist {

v1::CompleteRequest ReplaySender::RequestOf(int64_t index) const {
  const TraceRequest& planned = plan_->requests[index];
  v1::CompleteRequest request = GreedyRequest(
      ReplayPrompt(planned, index, options_.vocab, options_.length_scale, options_.seed),
      planned.answer_tokens);
  request.set_ignore_eos(true);
  request.set_session_id(options_.session_id);
  return request;
}

void ReplaySender::Send(int64_t index, int64_t due_us) {
  RequestOutcome outcome;
  outcome.client_wait_us = clock_->MonotonicUs() - due_us;
  std::string started_id;
  AlchemistClient* const client = clients_->Take();
  const absl::StatusOr<Answer> answer = client->Complete(
      RequestOf(index),
      [&](const v1::CompletionChunk& chunk) {
        if (outcome.ttft_us == 0 && chunk.token_ids_size() > 0) {
          outcome.ttft_us = clock_->MonotonicUs() - due_us;
        }
        return true;
      },
      [&](const std::string& request_id) { OnStarted(request_id, started_id); });
  clients_->Return(client);
  outcome.e2e_us = clock_->MonotonicUs() - due_us;
  outcome.status = answer.status();
  if (answer.ok()) {
    const v1::Usage& usage = answer->final.usage();
    outcome.prompt_tokens = usage.prompt_tokens();
    outcome.cached_tokens = usage.cached_tokens();
    outcome.answer_tokens = usage.completion_tokens();
  }
  MutexLock lock(&mutex_);
  started_ids_.erase(started_id);
  if (cancelled_ && !outcome.status.ok()) return;
  outcomes_.push_back(std::move(outcome));
}

void ReplaySender::OnStarted(const std::string& request_id, std::string& started_id) {
  MutexLock lock(&mutex_);
  started_ids_.erase(started_id);  // Of the try before.
  started_id = request_id;
  started_ids_.insert(started_id);
}

absl::Status ReplaySender::Cancel() {
  std::vector<std::string> ids;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;  // Before the waits end, so that what ends with them is no failure.
    ids.assign(started_ids_.begin(), started_ids_.end());
  }
  waits_->Stop();
  if (ids.empty()) return absl::OkStatus();
  return control_->Abort(ids).status();
}

std::vector<RequestOutcome> ReplaySender::outcomes() const {
  MutexLock lock(&mutex_);
  return outcomes_;
}

}  // namespace alchemist
