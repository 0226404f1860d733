// Workloads:
//   prefill_512_of_matmul_peak   A: oneDNN over the seven linears of a layer, 512 rows, as often as
//                                the model has layers. B: a prompt of 512 random tokens to its
//                                first token by the server's batcher, recorded, with LoRA r=16.
//   decode_1_of_read_bandwidth   A: reading memory. B: 32 steps of one sequence after a prompt of
//                                32 tokens; its bytes are the base model's weights alone.
#include "tools/bench/serve_bench.h"

#include <memory>
#include <utility>

#include "kernels/machine_peaks.h"
#include "tools/bench/bench_adapter.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/flops.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/layer_shapes.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"
#include "tools/bench/stopwatch.h"

namespace alchemist {
namespace {

constexpr int64_t kPrefillTokens = 512;
constexpr int64_t kDecodePrompt = 32;
constexpr uint64_t kSeed = 1;

struct ServeBench {
  const BenchContext& context;
  InProcessServer& server;
  Batcher& batcher;

  const ModelConfig& config() const { return server.model().config(); }
  absl::StatusOr<BenchRow> Prefill();
  absl::StatusOr<BenchRow> Decode();
};

absl::StatusOr<BenchRow> ServeBench::Prefill() {
  Flops flops = ForwardFlops(config(), kBenchRank, {.rows = kPrefillTokens, .head_rows = 1});
  flops += HeadFlops(config(), 1);
  MatmulPeak peak(LayerShapes(config()), kPrefillTokens, MatmulPeak::FastestType(), &server.pool());
  const std::vector<int32_t> prompt = BenchPrompt(kPrefillTokens, config().vocab, kSeed);
  const auto measure_peak = [&]() -> absl::StatusOr<double> {
    return peak.FlopsPerSecond(config().layers);
  };
  const auto measure_prefill = [&]() -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const double seconds, server.Prefill(batcher, prompt));
    return flops.total() / seconds;
  };
  ASSIGN_OR_RETURN(const PairSamples<> rates,
                   MeasurePairs(context.pairs, measure_peak, measure_prefill,
                                context.PairProgress("prefill of 512 tokens", context.pairs)));
  const double rate = Median(rates.b);
  BenchParams params = {{"dtype", DTypeName(server.model().dtype())},
                        {"tokens", kPrefillTokens},
                        {"peak_dtype", DTypeName(peak.dtype())},
                        {"peak_gflop_per_s", Median(rates.a) * 1e-9},
                        {"prefill_gflop_per_s", rate * 1e-9},
                        {"prefill_tokens_per_s", kPrefillTokens * rate / flops.total()}};
  params.update(flops.ToParams());
  return RatioRow("prefill_512_of_matmul_peak", EstimateRatio(Ratios(rates), rates.a),
                  Bound::AtLeast(0.60), std::move(params));
}

// Of the weights that a decode step reads: all linears and the head; of the embedding one row.
double WeightBytes(const Model& model) {
  const ModelConfig& config = model.config();
  int64_t elements = config.hidden * config.vocab;
  for (const MatmulShape& shape : LayerShapes(config)) {
    elements += config.layers * shape.in * shape.out;
  }
  return static_cast<double>(elements * BytesPerElement(model.dtype()));
}

absl::StatusOr<BenchRow> ServeBench::Decode() {
  const int64_t steps = context.is_short ? 4 : 32;
  const int64_t read_repetitions = context.is_short ? 1 : 40;
  ReadPeak peak(&server.pool());
  const std::vector<int32_t> prompt = BenchPrompt(kDecodePrompt, config().vocab, kSeed);
  const double weight_bytes = WeightBytes(server.model());
  const auto measure_peak = [&]() -> absl::StatusOr<double> {
    return peak.BytesPerSecond(read_repetitions);
  };
  const auto measure_decode = [&]() -> absl::StatusOr<double> {
    RETURN_IF_ERROR(server.Add(batcher, prompt, steps + 1));
    batcher.RunStep();       // The prompt, and the first token.
    int64_t steps_done = 0;  // Fewer when a model of the user's own ends its answer.
    const double seconds = SecondsOf([&] {
      while (batcher.RunStep()) ++steps_done;
    });
    return weight_bytes * static_cast<double>(steps_done) / seconds;
  };
  ASSIGN_OR_RETURN(const PairSamples<> rates,
                   MeasurePairs(context.pairs, measure_peak, measure_decode,
                                context.PairProgress("decode of one sequence", context.pairs)));
  return RatioRow("decode_1_of_read_bandwidth", EstimateRatio(Ratios(rates), rates.a),
                  Bound::AtLeast(0.75),
                  {{"dtype", DTypeName(server.model().dtype())},
                   {"steps", steps},
                   {"weight_bytes", weight_bytes},
                   {"read_gb_per_s", Median(rates.a) * 1e-9},
                   {"decode_gb_per_s", Median(rates.b) * 1e-9},
                   {"decode_tokens_per_s", Median(rates.b) / weight_bytes}});
}

}  // namespace

absl::StatusOr<BenchResult> RunServeBench(const BenchContext& context) {
  InProcessServer::Options options;
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  options.recorded_prompts = 2;  // The oldest makes room for the next one, as in a server.
  options.recorded_tokens = 2 * kPrefillTokens;
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> server, InProcessServer::Create(options));
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher,
                   server->MakeBatcher(RecordMode::kPrefill));
  ServeBench bench{context, *server, *batcher};
  BenchResult result;
  ASSIGN_OR_RETURN(result.rows.emplace_back(), bench.Prefill());
  ASSIGN_OR_RETURN(result.rows.emplace_back(), bench.Decode());
  return result;
}

}  // namespace alchemist
