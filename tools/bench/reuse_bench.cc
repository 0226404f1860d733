// Workload: one batch of about 3,072 tokens in ShareGPT's lengths, all scaled by one factor so that
// the longest request has 1,024 tokens; LoRA r=16 on all linears; records made by the server's
// batcher (record=prefill), leased, and mapped through the trainer's reader.
//   A: the trainer's step without records: packed, last-layer rule, head on trained rows.
//   B: the same step over the records. No optimizer step on either side.
//   sharegpt_prefill_ratio        T_A / T_B
//   sharegpt_prefill_of_ceiling   (T_A - T_f) / T_B, T_f being the part of the same A that ran the
//                                 prompts: the ratio over its ceiling T_A / (T_A - T_f)
//   step_of_matmul_peak           FLOP/s of A over oneDNN's at 512 rows of the model's shapes,
//                                 measured after each A
//   forward_over_backward_rate    FLOP/s of A's forward over those of its backward: that A is slow
//                                 nowhere that reuse then saves
//   gradient_bits_equal           1 when the last gradients of A and B have the same bits
#include "tools/bench/reuse_bench.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "kernels/machine_peaks.h"
#include "tools/bench/layer_shapes.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"
#include "tools/bench/step_batch.h"

namespace alchemist {
namespace {

constexpr int64_t kContext = 1024;
constexpr int64_t kBatchTokens = 3072;
constexpr int64_t kBatchTokensInShort = 1024;
constexpr int64_t kPeakRows = 512;
constexpr int64_t kTraceBytesMax = 64 << 20;

struct StepSample {
  StepTimes times;
  double peak = 0;  // FLOP/s, measured after a step without records.
};

bool SameBits(TensorView a, TensorView b) {
  return a.rows == b.rows && a.width == b.width &&
         std::memcmp(a.data, b.data, a.rows * a.width * sizeof(float)) == 0;
}

bool SameBits(AdapterGradients& a, AdapterGradients& b) {
  for (int64_t layer = 0; layer < a.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      if (!SameBits(a.A(layer, linear), b.A(layer, linear))) return false;
      if (!SameBits(a.B(layer, linear), b.B(layer, linear))) return false;
    }
  }
  return true;
}

// One figure of each pair.
template <typename Figure>
std::vector<double> OfPairs(const PairSamples<StepSample>& samples, Figure figure) {
  std::vector<double> values;
  for (size_t i = 0; i < samples.b.size(); ++i) {
    values.push_back(figure(samples.a[i], samples.b[i]));
  }
  return values;
}

double ForwardRate(const StepFlops& flops, const StepTimes& times) {
  return (flops.prompts.total() + flops.responses.total()) / (times.prompts + times.responses);
}

double BackwardRate(const StepFlops& flops, const StepTimes& times) {
  return flops.backward.total() / times.backward;
}

BenchParams WorkloadParams(absl::Span<const RequestLengths> requests, DType dtype) {
  int64_t prompt = 0, total = 0;
  for (const RequestLengths& request : requests) {
    prompt += request.prompt;
    total += request.total();
  }
  return {{"dtype", DTypeName(dtype)},
          {"requests", requests.size()},
          {"tokens", total},
          {"prompt_share", static_cast<double>(prompt) / static_cast<double>(total)}};
}

std::vector<BenchRow> RowsOf(const PairSamples<StepSample>& samples, const StepFlops& flops,
                             const BenchParams& workload) {
  const auto median = [&](auto figure) { return Median(OfPairs(samples, figure)); };
  std::vector<double> a_seconds;
  for (const StepSample& sample : samples.a) a_seconds.push_back(sample.times.all);
  const auto estimate = [&](auto figure) {
    return EstimateRatio(OfPairs(samples, figure), a_seconds);
  };
  using S = const StepSample&;
  BenchParams ratio_params = workload;
  ratio_params.update(
      {{"ceiling", median([](S a, S) { return a.times.all / (a.times.all - a.times.prompts); })},
       {"seconds_without", Median(a_seconds)},
       {"seconds_with", median([](S, S b) { return b.times.all; })},
       {"seconds_prompt_forward", median([](S a, S) { return a.times.prompts; })}});
  BenchParams step_params = {{"peak_dtype", DTypeName(MatmulPeak::FastestType())},
                             {"peak_gflop_per_s", median([](S a, S) { return a.peak * 1e-9; })},
                             {"step_gflop", flops.total() * 1e-9},
                             {"head_seconds", median([](S a, S) { return a.times.head; })}};
  BenchParams rate_params = {
      {"forward_gflop_per_s", median([&](S a, S) { return ForwardRate(flops, a.times) * 1e-9; })},
      {"backward_gflop_per_s",
       median([&](S a, S) { return BackwardRate(flops, a.times) * 1e-9; })}};
  BenchRow rates = RatioRow("forward_over_backward_rate", estimate([&](S a, S) {
                              return ForwardRate(flops, a.times) / BackwardRate(flops, a.times);
                            }),
                            Bound(), std::move(rate_params));
  rates.bound = Bound::AtLeast(1);  // Which leaves no margin: the median alone is judged.
  rates.verdict = JudgeExact(rates.value, rates.bound);
  return {RatioRow("sharegpt_prefill_ratio",
                   estimate([](S a, S b) { return a.times.all / b.times.all; }), Bound(),
                   std::move(ratio_params)),
          RatioRow("sharegpt_prefill_of_ceiling",
                   estimate([](S a, S b) { return (a.times.all - a.times.prompts) / b.times.all; }),
                   Bound::AtLeast(0.88), workload),
          RatioRow("step_of_matmul_peak",
                   estimate([&](S a, S) { return flops.total() / a.times.all / a.peak; }), Bound(),
                   std::move(step_params)),
          std::move(rates)};
}

absl::StatusOr<BenchResult> MeasureReuse(const BenchContext& context,
                                         absl::Span<const RequestLengths> requests) {
  InProcessServer::Options options;
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  options.recorded_prompts = static_cast<int64_t>(requests.size());
  for (const RequestLengths& request : requests) options.recorded_tokens += request.prompt;
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> server, InProcessServer::Create(options));
  ASSIGN_OR_RETURN(const std::unique_ptr<StepBatch> batch,
                   StepBatch::Create(requests, server.get(), context.work_dir + "/store.sock"));
  const ModelConfig& config = server->model().config();
  MatmulPeak peak(LayerShapes(config), kPeakRows, MatmulPeak::FastestType(), &server->pool());
  AdapterGradients gradients_run(server->adapter()), gradients_read(server->adapter());
  const auto without = [&]() -> absl::StatusOr<StepSample> {
    ASSIGN_OR_RETURN(const StepTimes times, batch->Run(false, &gradients_run));
    return StepSample{times, peak.FlopsPerSecond(config.layers)};
  };
  const auto with = [&]() -> absl::StatusOr<StepSample> {
    ASSIGN_OR_RETURN(const StepTimes times, batch->Run(true, &gradients_read));
    return StepSample{times};
  };
  ASSIGN_OR_RETURN(const PairSamples<StepSample> samples,
                   MeasurePairs<StepSample>(context.pairs, without, with,
                                            context.PairProgress("training steps", context.pairs)));
  BenchResult result;
  result.rows =
      RowsOf(samples, batch->CountFlops(), WorkloadParams(requests, server->model().dtype()));
  result.rows.push_back(ExactRow("gradient_bits_equal",
                                 SameBits(gradients_run, gradients_read) ? 1 : 0, "bool",
                                 Bound::AtLeast(1), {}));
  return result;
}

}  // namespace

absl::StatusOr<BenchResult> RunReuseBench(const BenchContext& context) {
  if (context.data_dir.empty()) return BenchResult{{}, "ALCHEMIST_DATA is not set"};
  const std::string file = context.data_dir + "/traces/sharegpt_lengths.csv";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kTraceBytesMax));
  ASSIGN_OR_RETURN(const std::vector<RequestLengths> trace, ParseLengths(text, file));
  const int64_t tokens = context.is_short ? kBatchTokensInShort : kBatchTokens;
  return MeasureReuse(context, EvenSample(ScaleToContext(trace, kContext), tokens));
}

}  // namespace alchemist
