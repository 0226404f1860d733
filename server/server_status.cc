#include "server/server_status.h"

#include "base/logging.h"
#include "server/link_messages.h"
#include "server/log_call.h"

namespace alchemist {
namespace {

constexpr double kSecondsPerUs = 1e-6;

v1::Histogram ToMessage(const Histogram& histogram) {
  v1::Histogram message;
  message.mutable_bounds()->Add(histogram.bounds().begin(), histogram.bounds().end());
  message.mutable_counts()->Add(histogram.counts().begin(), histogram.counts().end());
  message.set_sum(histogram.sum());
  return message;
}

v1::RecordUsage ToMessage(const ActivationStore::Usage& usage) {
  v1::RecordUsage message;
  message.set_records(usage.records);
  message.set_bytes(usage.bytes);
  return message;
}

void AddRequests(const Batcher& batcher, v1::GetStatusResponse& status) {
  status.set_requests_running(batcher.running());
  status.set_requests_waiting(batcher.waiting());
  const Batcher::Counters& counters = batcher.counters();
  status.set_requests_recorded(counters.recorded);
  status.set_requests_unrecorded(counters.unrecorded);
  status.set_requests_refused(counters.refused);
  status.set_requests_preempted(counters.preempted);
  status.set_prompt_tokens(counters.prompt_tokens);
  status.set_prefix_tokens(counters.prefix_tokens);
  v1::RequestCounts& requests = *status.mutable_requests();
  requests.set_ended_by_eos(counters.eos);
  requests.set_ended_by_length(counters.length);
  requests.set_ended_by_stop(counters.stop);
  requests.set_cancelled(counters.cancelled);
  requests.set_aborted(counters.aborted);
  requests.set_unread(counters.unread);
  requests.set_answers_recorded(counters.answers_recorded);
  requests.set_generation_tokens(counters.generation_tokens);
  const RequestMetrics& metrics = batcher.metrics();
  v1::RequestHistograms& histograms = *status.mutable_histograms();
  *histograms.mutable_queue_time() = ToMessage(metrics.queue_time);
  *histograms.mutable_time_to_first_token() = ToMessage(metrics.time_to_first_token);
  *histograms.mutable_time_per_output_token() = ToMessage(metrics.time_per_output_token);
  *histograms.mutable_e2e_request_latency() = ToMessage(metrics.e2e_request_latency);
  *histograms.mutable_prompt_tokens() = ToMessage(metrics.prompt_tokens);
  *histograms.mutable_generation_tokens() = ToMessage(metrics.generation_tokens);
  *histograms.mutable_engine_step() = ToMessage(metrics.engine_step);
}

void AddStore(const ActivationStore::Ledger& ledger, v1::GetStatusResponse& status) {
  status.set_records(ledger.records);
  status.set_records_leased(ledger.records_leased);
  status.set_record_bytes_used(ledger.block_bytes + ledger.record_kv_bytes);
  status.set_record_bytes_total(ledger.record_bytes);
  status.set_serving_kv_bytes_used(ledger.serving_kv_bytes_used);
  status.set_serving_kv_bytes_total(ledger.serving_kv_bytes);
  *status.mutable_record_states()->mutable_sealed() = ToMessage(ledger.sealed);
  *status.mutable_record_states()->mutable_filling() = ToMessage(ledger.filling);
  *status.mutable_record_states()->mutable_leased() = ToMessage(ledger.leased);
  status.set_leases(ledger.leases);
  status.set_records_evicted(ledger.evictions);
}

void AddTraining(const TrainerFeed& feed, v1::GetStatusResponse& status) {
  status.set_trainer(feed.state());
  status.set_training_paused(feed.paused());
  status.set_training_paused_seconds(static_cast<double>(feed.PausedUs()) * kSecondsPerUs);
  status.set_steps(feed.steps());
  *status.mutable_tokens() = feed.tokens();
  *status.mutable_feedback() = feed.feedback_counts();
  *status.mutable_revisions() = feed.revision_counts();
}

absl::Status AddLog(LogThread& log, v1::GetStatusResponse& status) {
  return CallLog(log, [&](FeedbackLog& rows) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t queued, rows.feedback().CountUnfinished());
    ASSIGN_OR_RETURN(const AdapterRow adapter, rows.revisions().FindAdapter(kDefaultAdapter));
    status.set_feedback_queued(queued);
    status.set_pinned(adapter.pinned);
    return absl::OkStatus();
  });
}

}  // namespace

absl::StatusOr<v1::GetStatusResponse> ServerStatus(const BaseId& base, ServingLoop& loop,
                                                   LogThread& log) {
  v1::GetStatusResponse status;
  *status.mutable_base() = ToMessage(base);
  RETURN_IF_ERROR(loop.Call([&] {
    *status.mutable_revision() = ToMessage(loop.registry().serving()->id);
    AddRequests(loop.batcher(), status);
    AddStore(loop.store().ledger(), status);
    AddTraining(loop.feed(), status);
    status.set_serving_busy_seconds(static_cast<double>(loop.BusyUs()) * kSecondsPerUs);
    status.set_completions_not_logged(loop.completions_not_logged());
    return absl::OkStatus();
  }));
  const absl::Status logged = AddLog(log, status);
  if (!logged.ok()) {
    LOG_EVERY_N(WARNING, 100) << "status without what the log knows: " << logged;
  }
  return status;
}

}  // namespace alchemist
