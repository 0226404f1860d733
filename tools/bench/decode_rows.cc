#include "tools/bench/decode_rows.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/machine_peaks.h"
#include "kernels/matmul.h"
#include "server/batcher.h"
#include "server/completion_stream.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/layer_shapes.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"
#include "tools/bench/stopwatch.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int64_t kDecodePrompt = 32;
constexpr uint64_t kSeed = 1;
constexpr int64_t kTogether = 8;
constexpr int64_t kStepsAlone = 32;      // Of answers without a prompt beside them.
constexpr int64_t kAnswerTokens = 2048;  // Longer than any measurement.
constexpr int64_t kPromptTokens = 4096;
constexpr int64_t kPromptTokensInShort = 256;
constexpr int64_t kChunkRows[] = {16, 32, 64, 128, 512};
constexpr int64_t kCurvePairs = 1;  // The curve shows a shape, and proves nothing.

// Of the weights that a decode step reads: all linears and the head; of the embedding one row.
double WeightBytes(const Model& model) {
  const ModelConfig& config = model.config();
  int64_t elements = config.hidden * config.vocab;
  for (const MatmulShape& shape : LayerShapes(config)) {
    elements += config.layers * shape.in * shape.out;
  }
  return static_cast<double>(elements * BytesPerElement(model.dtype()));
}

// Sequences that decode for as long as one likes.
class Decodes {
 public:
  static absl::StatusOr<std::unique_ptr<Decodes>> Start(InProcessServer& server,
                                                        const BatcherOptions& options,
                                                        int64_t count) {
    std::unique_ptr<Decodes> decodes(new Decodes(server));
    ASSIGN_OR_RETURN(decodes->batcher_, server.MakeBatcher(options));
    const int64_t vocab = server.model().config().vocab;
    for (int64_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(decodes->streams_.emplace_back(),
                       server.Add(*decodes->batcher_, BenchPrompt(kDecodePrompt, vocab, kSeed + i),
                                  kAnswerTokens));
    }
    for (int64_t i = 0; i <= count; ++i) decodes->Step();  // Prompts and first tokens.
    return decodes;
  }
  ~Decodes() {
    if (batcher_ != nullptr) batcher_->FailAll(absl::CancelledError("measured"));
  }

  // One step of all; how long it took, in seconds. Its tokens are taken.
  double Step() {
    const double seconds = SecondsOf([&] { batcher_->RunStep(); });
    InProcessServer::TakeAll(streams_);
    return seconds;
  }

  // A model of the user's own may end its answers, and the steps be shorter than they seem.
  absl::Status CheckAllRun() const {
    if (batcher_->running() + batcher_->waiting() >= static_cast<int64_t>(streams_.size())) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        "the model ended an answer while answers were measured: leave out --model");
  }

  // The steps in which another prompt of `tokens` is run.
  absl::StatusOr<std::vector<double>> StepsBeside(int64_t tokens, uint64_t seed) {
    const int64_t vocab = server_.model().config().vocab;
    ASSIGN_OR_RETURN(const auto stream,
                     server_.Add(*batcher_, BenchPrompt(tokens, vocab, seed), /*max_tokens=*/1));
    std::vector<double> seconds;
    while (batcher_->running() + batcher_->waiting() > static_cast<int64_t>(streams_.size())) {
      seconds.push_back(Step());
    }
    RETURN_IF_ERROR(CheckAllRun());
    return seconds;
  }

 private:
  explicit Decodes(InProcessServer& server) : server_(server) {}

  InProcessServer& server_;
  std::unique_ptr<Batcher> batcher_;
  std::vector<std::shared_ptr<CompletionStream>> streams_;
};

bool IsDefault(int64_t chunk_rows) {
  return chunk_rows == SchedulerLimits().prompt_rows_beside_decodes;
}

std::string StepsRowName(int64_t chunk_rows) {
  return absl::StrCat("step_p95_beside_prefill_ratio_", chunk_rows);
}

absl::StatusOr<BenchRow> StepsBesidePrefillOf(const BenchContext& context, InProcessServer& server,
                                              int64_t chunk_rows) {
  const bool is_default = IsDefault(chunk_rows);
  const int64_t pairs = is_default ? context.pairs : std::min(kCurvePairs, context.pairs);
  const int64_t tokens = context.is_short ? kPromptTokensInShort : kPromptTokens;
  BatcherOptions options = InProcessServer::OptionsFor(RecordMode::kPrefill);
  options.scheduler.prompt_rows_beside_decodes = chunk_rows;
  std::unique_ptr<Decodes> decodes;  // Begun anew for each pair, so that B finds the same contexts.
  std::vector<double> prefill_seconds;
  const auto measure_alone = [&]() -> absl::StatusOr<double> {
    decodes.reset();
    ASSIGN_OR_RETURN(decodes, Decodes::Start(server, options, kTogether));
    std::vector<double> seconds;
    for (int64_t step = 0; step < kStepsAlone; ++step) seconds.push_back(decodes->Step());
    return Percentile(seconds, 0.95);
  };
  const auto measure_beside = [&]() -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const std::vector<double> seconds,
                     decodes->StepsBeside(tokens, kSeed + prefill_seconds.size()));
    double sum = 0;
    for (const double each : seconds) sum += each;
    prefill_seconds.push_back(sum);
    return Percentile(seconds, 0.95);
  };
  const std::string what = absl::StrCat("a long prompt beside decodes, ", chunk_rows, " rows");
  ASSIGN_OR_RETURN(const PairSamples<> p95, MeasurePairs(pairs, measure_alone, measure_beside,
                                                         context.PairProgress(what, pairs)));
  return RatioRow(
      StepsRowName(chunk_rows), EstimateRatio(Ratios(p95), p95.a),
      is_default ? Bound::AtMost(2) : Bound(),
      {{"dtype", DTypeName(server.model().dtype())},
       {"chunk_rows", chunk_rows},
       {"decodes", kTogether},
       {"prompt_tokens", tokens},
       {"step_ms_p95_alone", Median(p95.a) * 1e3},
       {"step_ms_p95_beside", Median(p95.b) * 1e3},
       {"prefill_tokens_per_s", static_cast<double>(tokens) / Median(prefill_seconds)}});
}

}  // namespace

absl::StatusOr<BenchRow> DecodeOfReadBandwidth(const BenchContext& context,
                                               InProcessServer& server) {
  const int64_t steps = context.is_short ? 4 : kStepsAlone;
  const int64_t read_repetitions = context.is_short ? 1 : 40;
  ReadPeak peak(&server.pool());
  const double weight_bytes = WeightBytes(server.model());
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher,
                   server.MakeBatcher(InProcessServer::OptionsFor(RecordMode::kPrefill)));
  const std::vector<int32_t> prompt =
      BenchPrompt(kDecodePrompt, server.model().config().vocab, kSeed);
  const auto measure_peak = [&]() -> absl::StatusOr<double> {
    return peak.BytesPerSecond(read_repetitions);
  };
  const auto measure_decode = [&]() -> absl::StatusOr<double> {
    RETURN_IF_ERROR(server.Add(*batcher, prompt, steps + 1).status());
    batcher->RunStep();      // The prompt, and the first token.
    int64_t steps_done = 0;  // Fewer when a model of the user's own ends its answer.
    const double seconds = SecondsOf([&] {
      while (batcher->RunStep()) ++steps_done;
    });
    return weight_bytes * static_cast<double>(steps_done) / seconds;
  };
  ASSIGN_OR_RETURN(const PairSamples<> rates,
                   MeasurePairs(context.pairs, measure_peak, measure_decode,
                                context.PairProgress("decode of one sequence", context.pairs)));
  return RatioRow("decode_1_of_read_bandwidth", EstimateRatio(Ratios(rates), rates.a),
                  Bound::AtLeast(0.80),
                  {{"dtype", DTypeName(server.model().dtype())},
                   {"steps", steps},
                   {"weight_bytes", weight_bytes},
                   {"read_gb_per_s", Median(rates.a) * 1e-9},
                   {"decode_gb_per_s", Median(rates.b) * 1e-9},
                   {"decode_tokens_per_s", Median(rates.b) / weight_bytes}});
}

absl::StatusOr<BenchRow> DecodeEightOverOne(const BenchContext& context, InProcessServer& server) {
  const int64_t steps = context.is_short ? 4 : kStepsAlone;
  const auto measure = [&](int64_t count) -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(
        const std::unique_ptr<Decodes> decodes,
        Decodes::Start(server, InProcessServer::OptionsFor(RecordMode::kPrefill), count));
    double seconds = 0;
    for (int64_t step = 0; step < steps; ++step) seconds += decodes->Step();
    RETURN_IF_ERROR(decodes->CheckAllRun());
    return static_cast<double>(count * steps) / seconds;
  };
  ASSIGN_OR_RETURN(
      const PairSamples<> rates,
      MeasurePairs(
          context.pairs, [&] { return measure(1); }, [&] { return measure(kTogether); },
          context.PairProgress("decode of eight sequences", context.pairs)));
  return RatioRow("decode_8_over_1", EstimateRatio(Ratios(rates), rates.a), Bound::AtLeast(5),
                  {{"dtype", DTypeName(server.model().dtype())},
                   {"steps", steps},
                   {"tokens_per_s_of_1", Median(rates.a)},
                   {"tokens_per_s_of_8", Median(rates.b)}});
}

absl::StatusOr<std::vector<BenchRow>> StepsBesidePrefill(const BenchContext& context,
                                                         InProcessServer& server) {
  std::vector<BenchRow> rows;
  for (const int64_t chunk_rows : kChunkRows) {
    if (!context.Wants(StepsRowName(chunk_rows))) continue;
    ASSIGN_OR_RETURN(rows.emplace_back(), StepsBesidePrefillOf(context, server, chunk_rows));
  }
  return rows;
}

}  // namespace alchemist
