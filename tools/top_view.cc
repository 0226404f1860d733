#include "tools/top_view.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace alchemist {
namespace {

constexpr double kMebibyte = 1 << 20;

double Rate(int64_t earlier, int64_t later, double seconds) {
  return static_cast<double>(std::max<int64_t>(0, later - earlier)) / seconds;
}

int64_t Ended(const v1::RequestCounts& requests) {
  return requests.ended_by_eos() + requests.ended_by_length() + requests.ended_by_stop();
}

int64_t NotEnded(const v1::RequestCounts& requests) {
  return requests.cancelled() + requests.aborted() + requests.unread();
}

int64_t Acknowledged(const v1::FeedbackCounts& feedback) {
  return feedback.record_held() + feedback.will_recompute() + feedback.queued() +
         feedback.duplicate() + feedback.not_trained_yet() + feedback.rejected();
}

std::string TrainerName(v1::TrainerState state) {
  return std::string(absl::StripPrefix(v1::TrainerState_Name(state), "TRAINER_STATE_"));
}

std::string Milliseconds(std::optional<double> seconds) {
  return seconds.has_value() ? absl::StrFormat("%9.1f", *seconds * 1e3) : "        -";
}

std::string LatencyLine(const std::string& name, const v1::Histogram& earlier,
                        const v1::Histogram& later) {
  std::string line = absl::StrFormat("  %-22s", name);
  for (const double share : {0.5, 0.95, 0.99}) {
    line += Milliseconds(QuantileBetween(earlier, later, share));
  }
  return line + "\n";
}

std::string UsageOf(const std::string& name, const v1::RecordUsage& usage) {
  return absl::StrFormat("%s %d in %.1f MiB", name, usage.records(),
                         static_cast<double>(usage.bytes()) / kMebibyte);
}

std::string Requests(const v1::GetStatusResponse& earlier, const v1::GetStatusResponse& later,
                     double seconds) {
  const int64_t prompt_tokens = later.prompt_tokens() - earlier.prompt_tokens();
  const int64_t hits = later.prefix_tokens() - earlier.prefix_tokens();
  return absl::StrFormat(
      "requests  %d run, %d wait; %.1f/s ended, %.1f/s given up\n"
      "          %.1f/s refused, %.1f/s preempted\n"
      "tokens    %.0f/s of answers, %.0f/s of prompts, %.0f%% of them found recorded\n",
      later.requests_running(), later.requests_waiting(),
      Rate(Ended(earlier.requests()), Ended(later.requests()), seconds),
      Rate(NotEnded(earlier.requests()), NotEnded(later.requests()), seconds),
      Rate(earlier.requests_refused(), later.requests_refused(), seconds),
      Rate(earlier.requests_preempted(), later.requests_preempted(), seconds),
      Rate(earlier.requests().generation_tokens(), later.requests().generation_tokens(), seconds),
      Rate(earlier.prompt_tokens(), later.prompt_tokens(), seconds),
      prompt_tokens > 0 ? 100.0 * static_cast<double>(hits) / static_cast<double>(prompt_tokens)
                        : 0.0);
}

std::string Latencies(const v1::RequestHistograms& earlier, const v1::RequestHistograms& later) {
  return absl::StrCat(
      absl::StrFormat("ms in this interval     %9s%9s%9s\n", "p50", "p95", "p99"),
      LatencyLine("waiting", earlier.queue_time(), later.queue_time()),
      LatencyLine("time to first token", earlier.time_to_first_token(),
                  later.time_to_first_token()),
      LatencyLine("time per further token", earlier.time_per_output_token(),
                  later.time_per_output_token()),
      LatencyLine("end to end", earlier.e2e_request_latency(), later.e2e_request_latency()),
      LatencyLine("engine step", earlier.engine_step(), later.engine_step()));
}

std::string Memory(const v1::GetStatusResponse& earlier, const v1::GetStatusResponse& later,
                   double seconds) {
  const v1::RecordStates& states = later.record_states();
  const double kv_total = static_cast<double>(later.serving_kv_bytes_total());
  const double used = static_cast<double>(later.serving_kv_bytes_used());
  return absl::StrCat(
      absl::StrFormat("serving   K/V %.0f%% of %.0f MiB\n",
                      kv_total > 0 ? 100 * used / kv_total : 0, kv_total / kMebibyte),
      "records   ", UsageOf("filling", states.filling()), ", ", UsageOf("sealed", states.sealed()),
      ", ", UsageOf("leased", states.leased()),
      absl::StrFormat(
          "\n          of %.0f MiB; %.1f/s recorded, %.1f/s unrecorded, %.1f/s evicted\n",
          static_cast<double>(later.record_bytes_total()) / kMebibyte,
          Rate(earlier.requests_recorded(), later.requests_recorded(), seconds),
          Rate(earlier.requests_unrecorded(), later.requests_unrecorded(), seconds),
          Rate(earlier.records_evicted(), later.records_evicted(), seconds)));
}

std::string Training(const v1::GetStatusResponse& earlier, const v1::GetStatusResponse& later,
                     double seconds) {
  const double busy = later.serving_busy_seconds() - earlier.serving_busy_seconds();
  return absl::StrFormat(
      "training  trainer %s%s; %d steps, %.1f/s; serving busy %.0f%% of the time\n"
      "feedback  %d unfinished; %.1f/s acknowledged\n"
      "revision  %s %d%s; %d published, %d refused, %d rollbacks since the start\n",
      TrainerName(later.trainer()), later.training_paused() ? ", paused" : "", later.steps(),
      Rate(earlier.steps(), later.steps(), seconds),
      std::clamp(100 * busy / seconds, 0.0, 100.0), later.feedback_queued(),
      Rate(Acknowledged(earlier.feedback()), Acknowledged(later.feedback()), seconds),
      later.revision().adapter_id(), later.revision().number(), later.pinned() ? ", pinned" : "",
      later.revisions().published(), later.revisions().refused(), later.revisions().rolled_back());
}

}  // namespace

std::optional<double> QuantileBetween(const v1::Histogram& earlier, const v1::Histogram& later,
                                      double share) {
  if (earlier.counts_size() != later.counts_size()) return std::nullopt;
  std::vector<double> counts;
  double total = 0;
  for (int i = 0; i < later.counts_size(); ++i) {
    if (later.counts(i) < earlier.counts(i)) return std::nullopt;
    counts.push_back(static_cast<double>(later.counts(i) - earlier.counts(i)));
    total += counts.back();
  }
  if (total == 0) return std::nullopt;
  const double rank = share * total;
  double below = 0;
  for (int i = 0; i < later.bounds_size(); ++i) {
    if (counts[i] > 0 && below + counts[i] >= rank) {
      const double lower = i == 0 ? 0 : later.bounds(i - 1);
      return lower + (later.bounds(i) - lower) * (rank - below) / counts[i];
    }
    below += counts[i];
  }
  return later.bounds_size() == 0 ? 0 : later.bounds(later.bounds_size() - 1);
}

std::string FormatTop(const v1::GetStatusResponse& earlier, const v1::GetStatusResponse& later,
                      double seconds) {
  return absl::StrCat(Requests(earlier, later, seconds),
                      Latencies(earlier.histograms(), later.histograms()),
                      Memory(earlier, later, seconds), Training(earlier, later, seconds));
}

TopPages::TopPages(std::function<absl::StatusOr<v1::GetStatusResponse>()> get_status,
                   std::function<int64_t()> now_us)
    : get_status_(std::move(get_status)), now_us_(std::move(now_us)) {}

absl::Status TopPages::Begin() {
  absl::StatusOr<v1::GetStatusResponse> status = get_status_();
  if (!status.ok()) return status.status();
  earlier_ = *std::move(status);
  earlier_us_ = now_us_();
  return absl::OkStatus();
}

std::string TopPages::Next() {
  absl::StatusOr<v1::GetStatusResponse> later = get_status_();
  if (!later.ok()) return absl::StrCat(later.status().ToString(), "\n");
  // After the call: its counts are of the end of a call that stalled.
  const int64_t now_us = now_us_();
  std::string page = FormatTop(earlier_, *later, static_cast<double>(now_us - earlier_us_) / 1e6);
  earlier_ = *std::move(later);
  earlier_us_ = now_us;
  return page;
}

}  // namespace alchemist
