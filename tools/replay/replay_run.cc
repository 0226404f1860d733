#include "tools/replay/replay_run.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "tools/client/alchemist_client.h"
#include "tools/replay/client_pool.h"
#include "tools/replay/open_loop.h"
#include "tools/replay/replay_plan.h"
#include "tools/replay/replay_sender.h"
#include "tools/replay/retry_waits.h"
#include "tools/replay/trace.h"

namespace alchemist {
namespace {

constexpr int64_t kPollUs = 100'000;
constexpr int64_t kProgressUs = 2'000'000;
constexpr int64_t kControlTimeoutUs = 5'000'000;  // Of calls that the server answers at once.

// A client for requests of the trace.
std::unique_ptr<AlchemistClient> RequestClient(const ReplayOptions& options, RetryWaits& waits) {
  return AlchemistClient::Create(options.server,
                                 {.timeout_us = options.timeout_us,
                                  .retries_max = options.retries_max,
                                  .wait = [&waits](int64_t us) { waits.Wait(us); },
                                  .may_retry = [&waits] { return !waits.stopped(); }});
}

absl::StatusOr<v1::GetModelInfoResponse> ModelInfo(AlchemistClient& client,
                                                   const std::string& server) {
  auto info = client.GetModelInfo();
  if (!info.ok()) {
    return absl::Status(info.status().code(),
                        absl::StrCat("--server=", server, ": ", info.status().message()));
  }
  if (info->vocab_size() < 1 || info->max_request_tokens() < 2) {
    return absl::FailedPreconditionError(
        absl::StrCat("--server=", server, ": takes ", info->max_request_tokens(),
                     " tokens of a vocabulary of ", info->vocab_size(), "; no request fits"));
  }
  return info;
}

std::vector<int64_t> DueTimes(const ReplayPlan& plan) {
  std::vector<int64_t> due_us;
  for (const TraceRequest& request : plan.requests) due_us.push_back(request.arrival_us);
  return due_us;
}

// Until each request has ended, or `stop` ended them.
void WaitForEnd(OpenLoop& loop, ReplaySender& sender, int64_t requests,
                const std::atomic<bool>& stop,
                const std::function<void(const std::string&)>& progress) {
  int64_t progress_us = Clock::Real()->MonotonicUs() + kProgressUs;
  bool told = false, told_failure = false;
  while (!loop.WaitForEnd(kPollUs)) {
    if (stop) {
      if (!std::exchange(told, true)) progress("stopping; once more ends it at once");
      loop.Stop();
      const absl::Status status = sender.Cancel();
      if (!status.ok() && !std::exchange(told_failure, true)) {
        progress(absl::StrCat("requests are still in flight: ", status.ToString()));
      }
    } else if (Clock::Real()->MonotonicUs() >= progress_us) {
      progress(absl::StrCat(loop.ended(), " of ", requests, " ended, ", loop.sent() - loop.ended(),
                            " in flight"));
      progress_us += kProgressUs;
    }
  }
}

}  // namespace

absl::StatusOr<ReplayResult> RunReplay(const ReplayOptions& options, const std::atomic<bool>& stop,
                                       const std::function<void(const std::string&)>& progress) {
  ASSIGN_OR_RETURN(const Trace trace, ReadTrace(options.trace_path));
  if (trace.has_arrivals && options.per_second_is_set) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--rate: ", options.trace, " has arrivals of its own; --speedup changes their pace"));
  }
  const Clock* const clock = Clock::Real();
  RetryWaits waits;
  ClientPool clients(options.concurrency_max, [&] { return RequestClient(options, waits); });
  const auto control = AlchemistClient::Create(options.server, {.timeout_us = kControlTimeoutUs});
  ASSIGN_OR_RETURN(const v1::GetModelInfoResponse info, ModelInfo(*control, options.server));

  ReplayScale scale = options.scale;
  scale.request_tokens_max = info.max_request_tokens();
  const ReplayPlan plan = PlanReplay(trace, scale);
  ReplaySender sender({.vocab = info.vocab_size(),
                       .length_scale = scale.length_scale,
                       .seed = scale.seed,
                       .session_id = options.session_id},
                      &plan, &clients, control.get(), &waits, clock);
  const auto requests = static_cast<int64_t>(plan.requests.size());
  const int64_t start_us = clock->MonotonicUs();
  OpenLoop loop(
      DueTimes(plan), options.concurrency_max,
      [&sender](int64_t index, int64_t due_us) { sender.Send(index, due_us); }, clock);
  WaitForEnd(loop, sender, requests, stop, progress);
  const double seconds = static_cast<double>(clock->MonotonicUs() - start_us) / 1e6;

  ReplayResult result;
  result.model_name = info.served_model_name();
  result.request_tokens_max = info.max_request_tokens();
  result.requests = requests;
  result.requests_cut = plan.requests_cut;
  result.retries = waits.count();
  result.summary = Summarize(sender.outcomes(), options.slo, seconds);
  return result;
}

}  // namespace alchemist
