#include "tools/bench/prefill_rows.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "activation_store/prefix_index.h"
#include "kernels/machine_peaks.h"
#include "server/batcher.h"
#include "tools/bench/bench_adapter.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/flops.h"
#include "tools/bench/layer_shapes.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"

namespace alchemist {
namespace {

constexpr uint64_t kSeed = 1;
constexpr int64_t kShortTokens = 512;
constexpr int64_t kLongTokens = 4096;
constexpr int64_t kLongTokensInShort = 1024;  // With --short.
// A prompt of 20 hash blocks, of which 18 are recorded.
constexpr int64_t kHitTokens = 20 * kHashBlockTokens;
constexpr int64_t kHitPrefix = 18 * kHashBlockTokens;

Flops PromptFlops(const ModelConfig& config, int64_t tokens) {
  Flops flops = ForwardFlops(config, kBenchRank, {.rows = tokens, .head_rows = 1});
  flops += HeadFlops(config, 1);
  return flops;
}

}  // namespace

absl::StatusOr<BenchRow> PrefillOfMatmulPeak(const BenchContext& context, InProcessServer& server,
                                             int64_t tokens) {
  const ModelConfig& config = server.model().config();
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher,
                   server.MakeBatcher(InProcessServer::OptionsFor(RecordMode::kPrefill)));
  const Flops flops = PromptFlops(config, tokens);
  MatmulPeak peak(LayerShapes(config), tokens, MatmulPeak::FastestType(), &server.pool());
  const std::vector<int32_t> prompt = BenchPrompt(tokens, config.vocab, kSeed);
  const auto measure_peak = [&]() -> absl::StatusOr<double> {
    return peak.FlopsPerSecond(config.layers);
  };
  const auto measure_prefill = [&]() -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const double seconds, server.Prefill(*batcher, prompt));
    return flops.total() / seconds;
  };
  const std::string what = absl::StrCat("prefill of ", tokens, " tokens");
  ASSIGN_OR_RETURN(const PairSamples<> rates,
                   MeasurePairs(context.pairs, measure_peak, measure_prefill,
                                context.PairProgress(what, context.pairs)));
  const double rate = Median(rates.b);
  BenchParams params = {
      {"dtype", DTypeName(server.model().dtype())},
      {"tokens", tokens},
      {"peak_dtype", DTypeName(peak.dtype())},
      {"peak_gflop_per_s", Median(rates.a) * 1e-9},
      {"prefill_gflop_per_s", rate * 1e-9},
      {"prefill_tokens_per_s", static_cast<double>(tokens) * rate / flops.total()},
      {"attention_of_flops", flops.attention / flops.total()}};
  params.update(flops.ToParams());
  return RatioRow(absl::StrCat("prefill_", tokens, "_of_matmul_peak"),
                  EstimateRatio(Ratios(rates), rates.a), Bound::AtLeast(0.65), std::move(params));
}

absl::StatusOr<BenchRow> PrefillLongOverShort(const BenchContext& context,
                                              InProcessServer& server) {
  const ModelConfig& config = server.model().config();
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher,
                   server.MakeBatcher(InProcessServer::OptionsFor(RecordMode::kPrefill)));
  const int64_t long_tokens = context.is_short ? kLongTokensInShort : kLongTokens;
  // Both sides run as many tokens, so that they see as much of the machine.
  const auto measure = [&](int64_t tokens) -> absl::StatusOr<double> {
    const std::vector<int32_t> prompt = BenchPrompt(tokens, config.vocab, kSeed);
    double seconds = 0;
    for (int64_t run = 0; run < long_tokens / tokens; ++run) {
      ASSIGN_OR_RETURN(const double of_one, server.Prefill(*batcher, prompt));
      seconds += of_one;
    }
    return static_cast<double>(long_tokens) / seconds;
  };
  ASSIGN_OR_RETURN(const PairSamples<> rates,
                   MeasurePairs(
                       context.pairs, [&] { return measure(kShortTokens); },
                       [&] { return measure(long_tokens); },
                       context.PairProgress("prefill of 4,096 tokens", context.pairs)));
  const Flops flops = PromptFlops(config, long_tokens);
  return RatioRow("prefill_4096_over_512", EstimateRatio(Ratios(rates), rates.a),
                  Bound::AtLeast(0.5),
                  {{"dtype", DTypeName(server.model().dtype())},
                   {"tokens", long_tokens},
                   {"tokens_per_s", Median(rates.b)},
                   {"tokens_per_s_of_512", Median(rates.a)},
                   {"attention_of_flops", flops.attention / flops.total()},
                   {"attention_of_flops_of_512", PromptFlops(config, kShortTokens).attention /
                                                     PromptFlops(config, kShortTokens).total()}});
}

absl::StatusOr<BenchRow> PrefixHitTtft(const BenchContext& context, InProcessServer& server) {
  const int64_t vocab = server.model().config().vocab;
  BatcherOptions options = InProcessServer::OptionsFor(RecordMode::kPrefill);
  options.prefix_cache = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher, server.MakeBatcher(options));
  const std::vector<int32_t> prefix = BenchPrompt(kHitPrefix, vocab, kSeed);
  RETURN_IF_ERROR(server.Prefill(*batcher, prefix).status());
  uint64_t turn = 0;
  const auto measure = [&](bool hits) -> absl::StatusOr<double> {
    ++turn;
    std::vector<int32_t> prompt = BenchPrompt(kHitTokens, vocab, kSeed + turn);
    if (hits) std::copy(prefix.begin(), prefix.end(), prompt.begin());
    const int64_t before = batcher->counters().prefix_tokens;
    ASSIGN_OR_RETURN(const double seconds, server.Prefill(*batcher, std::move(prompt)));
    const int64_t found = batcher->counters().prefix_tokens - before;
    if (found != (hits ? kHitPrefix : 0)) {
      return absl::InternalError(absl::StrCat(found, " tokens of a prompt were found recorded"));
    }
    return seconds;
  };
  ASSIGN_OR_RETURN(const PairSamples<> ttft,
                   MeasurePairs(
                       context.pairs, [&] { return measure(false); }, [&] { return measure(true); },
                       context.PairProgress("a prefix hit of 90%", context.pairs)));
  return RatioRow("prefix_hit_ttft_ratio", EstimateRatio(Ratios(ttft), ttft.a), Bound::AtMost(0.20),
                  {{"dtype", DTypeName(server.model().dtype())},
                   {"tokens", kHitTokens},
                   {"prefix_tokens", kHitPrefix},
                   {"ttft_ms_miss", Median(ttft.a) * 1e3},
                   {"ttft_ms_hit", Median(ttft.b) * 1e3}});
}

}  // namespace alchemist
