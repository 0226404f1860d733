// Workload:
//   ttft_p50_ratio   A: a prompt of 512 random tokens to its first token by the server's batcher,
//                    which records nothing. B: the same prompt, recorded (prefill) in a store of
//                    which older records must make room. 25 times the pairs that were asked for:
//                    short turns that alternate see the same machine, and many of them are needed
//                    to tell 3% from its restlessness.
#include "tools/bench/record_overhead_bench.h"

#include <memory>
#include <vector>

#include "tools/bench/bench_prompt.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptTokens = 512;
constexpr int64_t kPairsFactor = 25;

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

}  // namespace

absl::StatusOr<BenchResult> RunRecordOverheadBench(const BenchContext& context) {
  InProcessServer::Options options;
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  options.recorded_prompts = 2;
  options.recorded_tokens = 2 * kPromptTokens;
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> server, InProcessServer::Create(options));
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> plain,
                   server->MakeBatcher(InProcessServer::OptionsFor(RecordMode::kOff)));
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> recording,
                   server->MakeBatcher(InProcessServer::OptionsFor(RecordMode::kPrefill)));
  uint64_t turn = 0;  // Both turns of a pair have the same prompt.
  const int64_t pairs = context.pairs * (context.is_short ? 1 : kPairsFactor);
  ASSIGN_OR_RETURN(const PairSamples<> ttft,
                   MeasurePairs(
                       pairs, [&] { return Ttft(*server, *plain, turn++ / 2, false); },
                       [&] { return Ttft(*server, *recording, turn++ / 2, true); },
                       context.PairProgress("time to the first token", pairs)));
  const int64_t record_bytes = server->layout().RecordBytes(kPromptTokens, 1);
  BenchResult result;
  result.rows.push_back(RatioRow("ttft_p50_ratio", EstimateRatio(Ratios(ttft), ttft.a),
                                 Bound::AtMost(1.03),
                                 {{"dtype", DTypeName(server->model().dtype())},
                                  {"tokens", kPromptTokens},
                                  {"record_bytes_per_token", record_bytes / kPromptTokens},
                                  {"ttft_ms_unrecorded", Median(ttft.a) * 1e3},
                                  {"ttft_ms_recorded", Median(ttft.b) * 1e3}}));
  return result;
}

}  // namespace alchemist
