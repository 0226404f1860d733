// Workloads: both daemons in separate sessions.
//   A: the trainer is stopped (SIGSTOP). B: it trains (SIGCONT), and never runs out of feedback.
//   step_p95_ratio_30    p95 of the engine steps of B over that of A, at 30% of the full rate. The
//                        same for 60 and 90. Requests of 128 random tokens and 64 of answer come as
//                        a Poisson process; every answer is corrected at once, on both sides. Five
//                        requests a measurement, always the same ones. Step times and waits are the
//                        server's own. The full rate is the highest at which the p95 of the waits
//                        for a first step stays under the p95 of the steps themselves; it is found
//                        before the trainer starts.
//   training_share_30    CPU time of the trainer in B, of all cores. The same for 60 and 90.
//   prefix_hit_ratio_training_over_off
//                        Three clients at once talk in four turns: each prompt is all that was said
//                        before and 128 new tokens, the answer has 16, a conversation is a session.
//                        The share of the prompts' tokens that are found recorded, B over A. In B
//                        each turn but the first comes after a revision was published since the one
//                        before. Also in B without sessions, as a parameter.
// Of the pairs that are asked for a row takes a multiple, since the p95 of one measurement varies
// by a tenth by itself. The lower the load, the longer five requests take to come, so that what a
// row can afford of twelve minutes in all differs: 8 times at 30% and 6 times at 60%, which have to
// tell 5%, and twice at 90%, of which nothing is asked.
#include "tools/bench/interference_bench.h"

#include <signal.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "model/config.h"
#include "tools/bench/bench_daemons.h"
#include "tools/bench/pairs.h"
#include "tools/bench/poisson_load.h"
#include "tools/bench/prefix_hit_row.h"
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
constexpr int64_t kProbeRequests = 20;  // To judge one rate by.
constexpr int64_t kProbes = 4;
constexpr uint64_t kArrivalSeed = 1;
// There before the trainer is: more than its batch holds, so that it never waits for more.
constexpr int64_t kCorrections = 20;
constexpr double kAtOnce = 1e9;  // Requests per second.

struct Load {
  int64_t percent = 0;  // Of the full rate.
  int64_t pairs_factor = 1;
  std::optional<double> ratio_at_most;
  std::string RatioName() const { return absl::StrCat("step_p95_ratio_", percent); }
  std::string ShareName() const { return absl::StrCat("training_share_", percent); }
  bool IsWanted(const BenchContext& context) const {
    return context.Wants(RatioName()) || context.Wants(ShareName());
  }
};
constexpr Load kLoads[] = {{30, 8, 1.05}, {60, 6, 1.05}, {90, 2, std::nullopt}};
constexpr char kPrefixHitRow[] = "prefix_hit_ratio_training_over_off";

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
  // Of those that are wanted of the load's two.
  absl::StatusOr<std::vector<BenchRow>> RowsAt(const Load& load, double full_rate);

 private:
  absl::StatusOr<Sample> Measure(double per_second, bool trains);
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
  RETURN_IF_ERROR(Run(kCorrections, kAtOnce).status());
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

BenchRow RatioRowOf(const Load& load, const PairSamples<Sample>& samples, double full_rate,
                    double rate) {
  const PairSamples<> p95 = {OfAll(samples.a, 0.95), OfAll(samples.b, 0.95)};
  BenchParams params = {
      {"full_rate_per_s", full_rate}, {"rate_per_s", rate}, {"requests", kRequests}};
  for (const double share : {0.5, 0.95, 0.99}) {
    const std::string name = absl::StrCat("step_ms_p", static_cast<int>(100 * share));
    params[name + "_off"] = Median(OfAll(samples.a, share));
    params[name + "_on"] = Median(OfAll(samples.b, share));
  }
  const Bound bound = load.ratio_at_most ? Bound::AtMost(*load.ratio_at_most) : Bound();
  return RatioRow(load.RatioName(), EstimateRatio(Ratios(p95), p95.a), bound, std::move(params));
}

BenchRow ShareRowOf(const Load& load, const PairSamples<Sample>& samples) {
  std::vector<double> shares;
  for (const Sample& sample : samples.b) shares.push_back(sample.trainer_share);
  BenchRow row = ExactRow(load.ShareName(), Median(shares), "share of all cores", Bound(), {});
  row.spread = MedianInterval(shares);
  return row;
}

absl::StatusOr<std::vector<BenchRow>> Interference::RowsAt(const Load& load, double full_rate) {
  const double rate = static_cast<double>(load.percent) / 100 * full_rate;
  const int64_t pairs = context_.pairs * (context_.is_short ? 1 : load.pairs_factor);
  const std::string what = absl::StrCat(load.percent, "% load, training off and on");
  ASSIGN_OR_RETURN(const PairSamples<Sample> samples,
                   MeasurePairs<Sample>(
                       pairs, [&] { return Measure(rate, false); },
                       [&] { return Measure(rate, true); }, context_.PairProgress(what, pairs)));
  std::vector<BenchRow> rows;
  if (context_.Wants(load.RatioName())) {
    rows.push_back(RatioRowOf(load, samples, full_rate, rate));
  }
  if (context_.Wants(load.ShareName())) rows.push_back(ShareRowOf(load, samples));
  return rows;
}

}  // namespace

absl::StatusOr<BenchResult> RunInterferenceBench(const BenchContext& context) {
  ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(context.model_directory));
  // Answers are learned again and again: there is always something to train.
  std::vector<std::string> trainer_flags = {"--passes=1000000", "--pass_interval_ms=0",
                                            "--done_loss=0", "--batch_tokens=1024"};
  if (context.is_short) trainer_flags.push_back("--publish_interval_ms=100");
  ASSIGN_OR_RETURN(const std::unique_ptr<Daemons> daemons,
                   StartBenchServer(context, std::move(trainer_flags)));
  Interference interference(context, daemons.get(), config.vocab);
  const bool wants_loads = std::any_of(std::begin(kLoads), std::end(kLoads),
                                       [&](const Load& load) { return load.IsWanted(context); });
  double full_rate = 0;
  if (wants_loads) {
    ASSIGN_OR_RETURN(full_rate, interference.FindFullRate());
  }
  RETURN_IF_ERROR(interference.StartTraining());
  BenchResult result;
  for (const Load& load : kLoads) {
    if (!load.IsWanted(context)) continue;
    ASSIGN_OR_RETURN(std::vector<BenchRow> rows, interference.RowsAt(load, full_rate));
    for (BenchRow& row : rows) result.rows.push_back(std::move(row));
  }
  if (context.Wants(kPrefixHitRow)) {
    ASSIGN_OR_RETURN(result.rows.emplace_back(),
                     PrefixHitOfTraining(context, config.vocab, *daemons));
  }
  return result;
}

}  // namespace alchemist
