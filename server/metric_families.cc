#include "server/metric_families.h"

#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

namespace alchemist {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// Families in the order of their first metric.
class Families {
 public:
  void Gauge(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    Add(name, help, prometheus::MetricType::Gauge, std::move(labels)).gauge.value = value;
  }

  // A count since the start, or, of what the log keeps, in its life.
  void Counter(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    Add(name, help, prometheus::MetricType::Counter, std::move(labels)).counter.value = value;
  }

  void Histogram(const std::string& name, const std::string& help, const v1::Histogram& histogram) {
    prometheus::ClientMetric::Histogram& to =
        Add(name, help, prometheus::MetricType::Histogram, {}).histogram;
    to.sample_sum = histogram.sum();
    for (int i = 0; i < histogram.counts_size(); ++i) {
      to.sample_count += static_cast<uint64_t>(histogram.counts(i));
      const double bound = i < histogram.bounds_size() ? histogram.bounds(i)
                                                       : std::numeric_limits<double>::infinity();
      to.bucket.push_back({to.sample_count, bound});
    }
  }

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Add(const std::string& name, const std::string& help,
                                prometheus::MetricType type, Labels labels) {
    if (families_.empty() || families_.back().name != name) {
      families_.push_back({name, help, type, {}});
    }
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
};

double AsDouble(int64_t count) { return static_cast<double>(count); }

void AddRequests(const v1::GetStatusResponse& status, Families& to) {
  to.Gauge("alchemist_requests_running",
           "Requests that run; each choice by itself once the prompt was run.",
           AsDouble(status.requests_running()));
  to.Gauge("alchemist_requests_waiting", "Requests that wait for their turn, counted likewise.",
           AsDouble(status.requests_waiting()));
  const v1::RequestCounts& requests = status.requests();
  for (const auto& [reason, count] :
       std::vector<std::pair<std::string, int64_t>>{{"eos", requests.ended_by_eos()},
                                                    {"length", requests.ended_by_length()},
                                                    {"stop", requests.ended_by_stop()},
                                                    {"cancelled", requests.cancelled()},
                                                    {"aborted", requests.aborted()},
                                                    {"unread", requests.unread()}}) {
    to.Counter("alchemist_requests_finished_total",
               "Choices of requests that ended: by themselves (eos, length, stop), because the "
               "client went away, by Abort, or because nobody read them.",
               AsDouble(count), {{"reason", reason}});
  }
  to.Counter("alchemist_requests_refused_total", "Requests for which the queue had no room.",
             AsDouble(status.requests_refused()));
  to.Counter("alchemist_preemptions_total",
             "How often a running request gave its K/V pages to others, to be resumed later.",
             AsDouble(status.requests_preempted()));
  to.Counter("alchemist_prompt_tokens_total", "Prompt tokens of admitted requests.",
             AsDouble(status.prompt_tokens()));
  to.Counter("alchemist_prefix_cache_hits_total",
             "Prompt tokens of admitted requests that were found recorded, and not run again.",
             AsDouble(status.prefix_tokens()));
  to.Counter("alchemist_generation_tokens_total", "Tokens of answers.",
             AsDouble(requests.generation_tokens()));
  to.Counter("alchemist_completions_not_logged_total",
             "Completions that the log did not take: feedback on them is NOT_FOUND.",
             AsDouble(status.completions_not_logged()));
}

void AddHistograms(const v1::RequestHistograms& histograms, Families& to) {
  to.Histogram("alchemist_time_to_first_token_seconds",
               "From a request's acceptance to the first token of each choice.",
               histograms.time_to_first_token());
  to.Histogram("alchemist_time_per_output_token_seconds",
               "Of each choice with two tokens or more, its mean after the first.",
               histograms.time_per_output_token());
  to.Histogram("alchemist_e2e_request_latency_seconds",
               "From a request's acceptance to the end of each choice that ended by itself.",
               histograms.e2e_request_latency());
  to.Histogram("alchemist_request_queue_time_seconds",
               "From a request's acceptance to the step with its first row.",
               histograms.queue_time());
  to.Histogram("alchemist_request_prompt_tokens", "Prompt tokens of each choice.",
               histograms.prompt_tokens());
  to.Histogram("alchemist_request_generation_tokens", "Tokens of each choice that ended by itself.",
               histograms.generation_tokens());
  to.Histogram("alchemist_engine_step_seconds", "Engine steps, prompt chunks included.",
               histograms.engine_step());
}

void AddStore(const v1::GetStatusResponse& status, Families& to) {
  to.Gauge("alchemist_kv_cache_usage_ratio",
           "Share in use of the K/V pages that are reserved for serving.",
           AsDouble(status.serving_kv_bytes_used()) / AsDouble(status.serving_kv_bytes_total()));
  const std::string arena_help = "Size of the arena's parts.";
  to.Gauge("alchemist_arena_bytes", arena_help, AsDouble(status.serving_kv_bytes_total()),
           {{"part", "serving_kv"}});
  to.Gauge("alchemist_arena_bytes", arena_help, AsDouble(status.record_bytes_total()),
           {{"part", "records"}});
  const v1::RecordStates& states = status.record_states();
  const std::pair<std::string, const v1::RecordUsage*> usages[] = {
      {"filling", &states.filling()}, {"sealed", &states.sealed()}, {"leased", &states.leased()}};
  for (const auto& [state, usage] : usages) {
    to.Gauge("alchemist_records", "Records, by state.", AsDouble(usage->records()),
             {{"state", state}});
  }
  for (const auto& [state, usage] : usages) {
    to.Gauge("alchemist_record_bytes", "Activations and K/V of records, by state and tier.",
             AsDouble(usage->bytes()), {{"state", state}, {"tier", "device"}});
  }
  to.Gauge("alchemist_leases", "Leases of the trainer.", AsDouble(status.leases()));
  to.Counter("alchemist_records_evicted_total", "Records dropped for others, or for their age.",
             AsDouble(status.records_evicted()));
  to.Counter("alchemist_requests_recorded_total", "Requests whose prompt was recorded.",
             AsDouble(status.requests_recorded()));
  to.Counter("alchemist_requests_unrecorded_total",
             "Requests whose prompt was not recorded: no room, or not wanted.",
             AsDouble(status.requests_unrecorded()));
  to.Counter("alchemist_answers_recorded_total", "Answers that were recorded.",
             AsDouble(status.requests().answers_recorded()));
}

void AddFeedback(const v1::GetStatusResponse& status, Families& to) {
  const v1::FeedbackCounts& feedback = status.feedback();
  for (const auto& [disposition, count] :
       std::vector<std::pair<std::string, int64_t>>{{"record_held", feedback.record_held()},
                                                    {"will_recompute", feedback.will_recompute()},
                                                    {"queued", feedback.queued()},
                                                    {"duplicate", feedback.duplicate()},
                                                    {"not_trained_yet", feedback.not_trained_yet()},
                                                    {"rejected", feedback.rejected()}}) {
    to.Counter("alchemist_feedback_total", "Feedback that was acknowledged, by disposition.",
               AsDouble(count), {{"disposition", disposition}});
  }
  to.Gauge("alchemist_log_up", "1: the log of feedback answers.",
           status.has_feedback_queued() ? 1 : 0);
  if (!status.has_feedback_queued()) return;
  to.Gauge("alchemist_feedback_unfinished", "Trainable feedback that is not done.",
           AsDouble(status.feedback_queued()));
}

void AddTrainer(const v1::GetStatusResponse& status, Families& to) {
  for (const auto& [name, state] : std::vector<std::pair<std::string, v1::TrainerState>>{
           {"absent", v1::TRAINER_STATE_ABSENT},
           {"attached", v1::TRAINER_STATE_ATTACHED},
           {"active", v1::TRAINER_STATE_ACTIVE},
           {"suspect", v1::TRAINER_STATE_SUSPECT}}) {
    to.Gauge("alchemist_trainer_state", "1 for the state that the trainer is in.",
             status.trainer() == state ? 1 : 0, {{"state", name}});
  }
  to.Gauge("alchemist_training_paused", "1: an operator has paused training.",
           status.training_paused() ? 1 : 0);
  to.Counter("alchemist_training_paused_seconds_total",
             "How long training was paused by an operator.", status.training_paused_seconds());
  to.Counter("alchemist_serving_busy_seconds_total",
             "How long serving had work, which training lets go first.",
             status.serving_busy_seconds());
  to.Gauge("alchemist_training_step",
           "Optimizer updates behind the trainer's weights; fewer after it came back with an older "
           "checkpoint.",
           AsDouble(status.steps()));
  const v1::TokenCounts& tokens = status.tokens();
  const std::tuple<std::string, int64_t, int64_t> rows[] = {
      {"first_pass_prompt", tokens.first_pass_prompt_reused(),
       tokens.first_pass_prompt_recomputed()},
      {"later_pass", tokens.later_pass_reused(), tokens.later_pass_recomputed()},
      {"replay", tokens.replay_reused(), tokens.replay_recomputed()},
      {"response", tokens.response_reused(), tokens.response_run()}};
  for (const auto& [kind, reused, recomputed] : rows) {
    const std::string help =
        "Tokens of training in the life of the log whose activations were read from a record "
        "(reused), or run by the trainer (recomputed).";
    to.Counter("alchemist_training_tokens_total", help, AsDouble(reused),
               {{"rows", kind}, {"activations", "reused"}});
    to.Counter("alchemist_training_tokens_total", help, AsDouble(recomputed),
               {{"rows", kind}, {"activations", "recomputed"}});
  }
  to.Counter("alchemist_training_tokens_beyond_drift_total",
             "Prompt tokens of first passes that were recomputed although a record was there: it "
             "was too old.",
             AsDouble(tokens.first_pass_beyond_drift()));
}

void AddRevisions(const v1::GetStatusResponse& status, Families& to) {
  to.Gauge("alchemist_base_info", "What is served, as labels.", 1,
           {{"base_digest", status.base().base_digest()},
            {"tokenizer_digest", status.base().tokenizer_digest()}});
  to.Gauge("alchemist_revision_number", "The revision that new requests run at, by adapter.",
           AsDouble(static_cast<int64_t>(status.revision().number())),
           {{"adapter_id", status.revision().adapter_id()}});
  to.Gauge("alchemist_revision_pinned", "1: what serves is pinned, and not swapped by publishes.",
           status.pinned() ? 1 : 0, {{"adapter_id", status.revision().adapter_id()}});
  const std::string help = "Revisions that the trainer published, by what the server said.";
  to.Counter("alchemist_publishes_total", help, AsDouble(status.revisions().published()),
             {{"result", "accepted"}});
  to.Counter("alchemist_publishes_total", help, AsDouble(status.revisions().refused()),
             {{"result", "refused"}});
  to.Counter("alchemist_rollbacks_total", "Rollbacks to an older revision.",
             AsDouble(status.revisions().rolled_back()));
}

}  // namespace

std::vector<prometheus::MetricFamily> MetricFamiliesOf(const v1::GetStatusResponse& status) {
  Families families;
  AddRequests(status, families);
  AddHistograms(status.histograms(), families);
  AddStore(status, families);
  AddFeedback(status, families);
  AddTrainer(status, families);
  AddRevisions(status, families);
  return families.Take();
}

}  // namespace alchemist
