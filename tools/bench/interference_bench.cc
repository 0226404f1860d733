// Workload: both daemons in separate sessions; requests of 128 random tokens and 64 of answer come
// as a Poisson process; every answer is corrected at once, on both sides. Five requests a
// measurement, always the same ones. Step times and waits are the server's own.
//   A: the trainer is stopped (SIGSTOP). B: it trains (SIGCONT), and never runs out of feedback.
//   step_p95_ratio_30    p95 of the engine steps of B over that of A, at 30% of the full rate: the
//                        highest at which the p95 of the waits for a first step stays under the p95
//                        of the steps themselves; found before the trainer starts.
//   training_share_30    CPU time of the trainer in B, of all cores
#include "tools/bench/interference_bench.h"

#include <signal.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "model/config.h"
#include "tools/bench/bench_daemons.h"
#include "tools/bench/pairs.h"
#include "tools/bench/poisson_load.h"
#include "tools/bench/proc_files.h"
#include "tools/bench/ratio.h"
#include "tools/bench/server_steps.h"
#include "tools/bench/stopwatch.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptTokens = 128;
constexpr int64_t kAnswerTokens = 64;
constexpr int64_t kRequests = 5;        // Of one measurement.
constexpr int64_t kPairsFactor = 4;     // The p95 of one measurement varies by a tenth by itself.
constexpr int64_t kProbeRequests = 20;  // To judge one rate by.
constexpr int64_t kProbes = 4;
constexpr double kLoad = 0.30;
constexpr uint64_t kArrivalSeed = 1;
constexpr double kAtOnce = 1e9;  // Requests per second.

struct Sample {
  ServerSteps steps;
  double trainer_share = 0;
};

double P95(const std::vector<double>& values) { return Percentile(values, 0.95); }

class Interference {
 public:
  Interference(const BenchContext& context, Daemons* daemons, int64_t vocab)
      : context_(context),
        daemons_(*daemons),
        load_({vocab, kPromptTokens, context.is_short ? 4 : kAnswerTokens}, &daemons->client()) {}

  // The rate, in requests per second, whose share the load is.
  absl::StatusOr<double> FindFullRate();
  absl::Status StartTraining();
  absl::StatusOr<Sample> Measure(double per_second, bool trains);

 private:
  absl::StatusOr<ServerSteps> Run(int64_t requests, double per_second);
  absl::StatusOr<double> TrainerSeconds();

  const BenchContext& context_;
  Daemons& daemons_;
  PoissonLoad load_;
};

absl::StatusOr<ServerSteps> Interference::Run(int64_t requests, double per_second) {
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  RETURN_IF_ERROR(load_.Run(PoissonArrivals(requests, per_second, kArrivalSeed)));
  ASSIGN_OR_RETURN(const std::string text, daemons_.client().Inspect("steps"));
  return ParseSteps(text, begin_us);
}

// By halving what is left between a rate that is surely served and one that is not.
absl::StatusOr<double> Interference::FindFullRate() {
  const int64_t requests = context_.is_short ? kRequests : kProbeRequests;
  RETURN_IF_ERROR(Run(kRequests, kAtOnce).status());  // Makes kernels and touches memory.
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  RETURN_IF_ERROR(Run(requests, kAtOnce).status());
  const double seconds = SecondsBetween(begin_us, Clock::Real()->MonotonicUs());
  double low = 0, high = 1.5 * static_cast<double>(requests) / seconds;
  for (int64_t probe = 0; probe < kProbes; ++probe) {
    RETURN_IF_ERROR(context_.progress("looking for the highest rate", probe, kProbes));
    const double rate = (low + high) / 2;
    ASSIGN_OR_RETURN(const ServerSteps steps, Run(requests, rate));
    (P95(steps.wait_ms) < P95(steps.step_ms) ? low : high) = rate;
  }
  if (low == 0) return absl::InternalError("no rate is served without waiting");
  return low;
}

absl::Status Interference::StartTraining() {
  RETURN_IF_ERROR(daemons_.StartTrainer());
  RETURN_IF_ERROR(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  return daemons_.WaitFor("the first training step", [&] {
    const absl::StatusOr<v1::GetStatusResponse> status = daemons_.client().GetStatus();
    return status.ok() && status->steps() > 0;
  });
}

absl::StatusOr<double> Interference::TrainerSeconds() {
  ASSIGN_OR_RETURN(const std::string stat, ReadProcFile(daemons_.trainer().pid(), "stat"));
  return CpuSeconds(stat);
}

absl::StatusOr<Sample> Interference::Measure(double per_second, bool trains) {
  daemons_.trainer().Signal(trains ? SIGCONT : SIGSTOP);
  Sample sample;
  ASSIGN_OR_RETURN(const double trainer_before, TrainerSeconds());
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  ASSIGN_OR_RETURN(sample.steps, Run(kRequests, per_second));
  const double seconds = SecondsBetween(begin_us, Clock::Real()->MonotonicUs());
  ASSIGN_OR_RETURN(const double trainer_after, TrainerSeconds());
  sample.trainer_share = (trainer_after - trainer_before) / (seconds * context_.threads);
  if (daemons_.TrainerFailed()) return absl::AbortedError("the trainer ended\n" + daemons_.Logs());
  return sample;
}

std::vector<double> OfAll(const std::vector<Sample>& samples, double share) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(Percentile(sample.steps.step_ms, share));
  return values;
}

std::vector<BenchRow> RowsOf(const PairSamples<Sample>& samples, double full_rate) {
  const PairSamples<> p95 = {OfAll(samples.a, 0.95), OfAll(samples.b, 0.95)};
  BenchParams params = {
      {"full_rate_per_s", full_rate}, {"rate_per_s", kLoad * full_rate}, {"requests", kRequests}};
  for (const double share : {0.5, 0.95, 0.99}) {
    const std::string name = "step_ms_p" + std::to_string(static_cast<int>(100 * share));
    params[name + "_off"] = Median(OfAll(samples.a, share));
    params[name + "_on"] = Median(OfAll(samples.b, share));
  }
  std::vector<double> trainer_shares;
  for (const Sample& sample : samples.b) trainer_shares.push_back(sample.trainer_share);
  BenchRow share =
      ExactRow("training_share_30", Median(trainer_shares), "share of all cores", Bound(), {});
  share.spread = MedianInterval(trainer_shares);
  return {RatioRow("step_p95_ratio_30", EstimateRatio(Ratios(p95), p95.a), Bound::AtMost(1.10),
                   std::move(params)),
          std::move(share)};
}

}  // namespace

absl::StatusOr<BenchResult> RunInterferenceBench(const BenchContext& context) {
  ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(context.model_directory));
  // Answers are learned again and again: there is always something to train.
  ASSIGN_OR_RETURN(const std::unique_ptr<Daemons> daemons,
                   StartBenchServer(context, {"--passes=1000", "--pass_interval_ms=0",
                                              "--done_loss=0", "--batch_tokens=1024"}));
  Interference interference(context, daemons.get(), config.vocab);
  ASSIGN_OR_RETURN(const double full_rate, interference.FindFullRate());
  RETURN_IF_ERROR(interference.StartTraining());
  const double rate = kLoad * full_rate;
  const int64_t pairs = context.pairs * (context.is_short ? 1 : kPairsFactor);
  ASSIGN_OR_RETURN(const PairSamples<Sample> samples,
                   MeasurePairs<Sample>(
                       pairs, [&] { return interference.Measure(rate, false); },
                       [&] { return interference.Measure(rate, true); },
                       context.PairProgress("30% load, training off and on", pairs)));
  BenchResult result;
  result.rows = RowsOf(samples, full_rate);
  return result;
}

}  // namespace alchemist
