#include "tools/bench/recording_speed_rows.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/machine_peaks.h"
#include "server/batcher.h"
#include "server/completion_stream.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"
#include "tools/bench/stopwatch.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptTokens = 512;
constexpr int64_t kPairsFactor = 25;

constexpr int64_t kSequences = 4;
constexpr int64_t kDecodePrompt = 32;
constexpr int64_t kSteps = 32;
constexpr int64_t kBlockRowsMin = 4;  // Of an answer; its first blocks have no more.

constexpr int64_t kWriteRepetitions = 40;

int64_t PairsOf(const BenchContext& context) {
  return context.pairs * (context.is_short ? 1 : kPairsFactor);
}

// The time to the first token, in seconds.
absl::StatusOr<double> Ttft(InProcessServer& server, Batcher& batcher, uint64_t prompt_seed,
                            bool is_recorded) {
  const std::vector<int32_t> prompt =
      BenchPrompt(kPromptTokens, server.model().config().vocab, prompt_seed);
  ASSIGN_OR_RETURN(const double seconds, server.Prefill(batcher, prompt));
  if ((server.last_record_id() != 0) != is_recorded) {
    return absl::InternalError("a prompt was not recorded as it should be");
  }
  return seconds;
}

// The time per token of answers that are decoded together, in seconds. The prompts' step, which
// makes the first tokens, is not in it; whatever recording does in some steps only is.
absl::StatusOr<double> Tpot(InProcessServer& server, Batcher& batcher, uint64_t turn,
                            bool is_recorded) {
  const int64_t recorded_before = batcher.counters().answers_recorded;
  const int64_t vocab = server.model().config().vocab;
  std::vector<std::shared_ptr<CompletionStream>> streams;  // They have room for the whole answers.
  for (int64_t i = 0; i < kSequences; ++i) {
    const uint64_t seed = turn * kSequences + i;
    ASSIGN_OR_RETURN(streams.emplace_back(),
                     server.Add(batcher, BenchPrompt(kDecodePrompt, vocab, seed), kSteps + 1));
  }
  batcher.RunStep();
  int64_t steps = 0;
  const double seconds = SecondsOf([&] {
    while (batcher.RunStep()) ++steps;
  });
  // More: they did not decode together. Fewer: a model of the user's own ended its answers.
  if (steps > kSteps || steps == 0) {
    return absl::InternalError(absl::StrCat(steps, " decode steps, not ", kSteps));
  }
  const int64_t recorded = batcher.counters().answers_recorded - recorded_before;
  if (recorded != (is_recorded ? kSequences : 0)) {
    return absl::InternalError(absl::StrCat(recorded, " of ", kSequences, " answers recorded"));
  }
  return seconds / static_cast<double>(steps);
}

// What recording wrote in a turn of so many seconds, and what the machine could have written.
void AddWriteRates(const BenchContext& context, InProcessServer& server, double bytes,
                   double seconds, BenchParams& params) {
  WritePeak peak(&server.pool());
  const int64_t repetitions = context.is_short ? 1 : kWriteRepetitions;
  params["record_mb_per_s_written"] = bytes / seconds * 1e-6;
  params["machine_mb_per_s_written"] = peak.BytesPerSecond(repetitions) * 1e-6;
}

// Two batchers that share the server's store.
struct Sides {
  std::unique_ptr<InProcessServer> server;
  std::unique_ptr<Batcher> off;
  std::unique_ptr<Batcher> recording;
};

absl::StatusOr<Sides> MakeSides(InProcessServer::Options options, const BenchContext& context,
                                RecordMode mode) {
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  Sides sides;
  ASSIGN_OR_RETURN(sides.server, InProcessServer::Create(options));
  ASSIGN_OR_RETURN(sides.off,
                   sides.server->MakeBatcher(InProcessServer::OptionsFor(RecordMode::kOff)));
  ASSIGN_OR_RETURN(sides.recording, sides.server->MakeBatcher(InProcessServer::OptionsFor(mode)));
  return sides;
}

}  // namespace

absl::StatusOr<BenchRow> TtftOfRecording(const BenchContext& context) {
  InProcessServer::Options options;
  options.recorded_prompts = 2;
  options.recorded_tokens = 2 * kPromptTokens;
  ASSIGN_OR_RETURN(const Sides sides, MakeSides(options, context, RecordMode::kPrefill));
  InProcessServer& server = *sides.server;
  uint64_t turn = 0;  // Both turns of a pair have the same prompt.
  const int64_t pairs = PairsOf(context);
  ASSIGN_OR_RETURN(
      const PairSamples<> ttft,
      MeasurePairs(
          pairs, [&] { return Ttft(server, *sides.off, turn++ / 2, false); },
          [&] { return Ttft(server, *sides.recording, turn++ / 2, true); },
          context.PairProgress("time to the first token, recording off and prefill", pairs)));
  const int64_t bytes = server.layout().RecordBytes(kPromptTokens, 1);
  BenchParams params = {{"dtype", DTypeName(server.model().dtype())},
                        {"tokens", kPromptTokens},
                        {"record_bytes_per_token", bytes / kPromptTokens},
                        {"ttft_ms_unrecorded", Median(ttft.a) * 1e3},
                        {"ttft_ms_recorded", Median(ttft.b) * 1e3}};
  AddWriteRates(context, server, static_cast<double>(bytes), Median(ttft.b), params);
  return RatioRow("ttft_p50_ratio", EstimateRatio(Ratios(ttft), ttft.a), Bound::AtMost(1.03),
                  std::move(params));
}

absl::StatusOr<BenchRow> TpotOfRecording(const BenchContext& context) {
  InProcessServer::Options options;
  // Two turns fit, so that in all but the first ones older records make room, as in a server.
  options.recorded_prompts = 2 * 2 * kSequences;
  options.recorded_tokens = 2 * kSequences * (kDecodePrompt + kSteps);
  options.recorded_rows_per_step = kBlockRowsMin;
  ASSIGN_OR_RETURN(const Sides sides, MakeSides(options, context, RecordMode::kAll));
  InProcessServer& server = *sides.server;
  uint64_t turn = 0;  // Both turns of a pair have the same prompts.
  const int64_t pairs = PairsOf(context);
  ASSIGN_OR_RETURN(const PairSamples<> tpot,
                   MeasurePairs(
                       pairs, [&] { return Tpot(server, *sides.off, turn++ / 2, false); },
                       [&] { return Tpot(server, *sides.recording, turn++ / 2, true); },
                       context.PairProgress("time per token, recording off and all", pairs)));
  const int64_t bytes = server.layout().RecordBytes(1, 1);  // Each decoded row is a head row.
  BenchParams params = {{"dtype", DTypeName(server.model().dtype())},
                        {"sequences", kSequences},
                        {"steps", kSteps},
                        {"record_bytes_per_token", bytes},
                        {"tpot_ms_unrecorded", Median(tpot.a) * 1e3},
                        {"tpot_ms_recorded", Median(tpot.b) * 1e3}};
  AddWriteRates(context, server, static_cast<double>(kSequences * bytes), Median(tpot.b), params);
  return RatioRow("tpot_p50_ratio_all", EstimateRatio(Ratios(tpot), tpot.a), Bound::AtMost(1.04),
                  std::move(params));
}

}  // namespace alchemist
