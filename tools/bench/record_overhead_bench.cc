// Workload:
//   ttft_p50_ratio   A: five prompts of 512 random tokens, one after the other, each to its first
//                    token by the server's batcher, which records nothing. B: the same prompts,
//                    recorded (prefill) in a store of which older records must make room. Each side
//                    counts by its p50.
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
constexpr int64_t kPrompts = 5;
constexpr int64_t kPromptsInShort = 2;

// The median time to the first token, in seconds.
absl::StatusOr<double> TtftP50(InProcessServer& server, Batcher& batcher, int64_t prompts,
                               bool is_recorded) {
  std::vector<double> seconds;
  for (int64_t i = 0; i < prompts; ++i) {
    const std::vector<int32_t> prompt =
        BenchPrompt(kPromptTokens, server.model().config().vocab, static_cast<uint64_t>(i));
    ASSIGN_OR_RETURN(seconds.emplace_back(), server.Prefill(batcher, prompt));
    if ((server.last_record_id() != 0) != is_recorded) {
      return absl::InternalError("a prompt was not recorded as it should be");
    }
  }
  return Median(seconds);
}

}  // namespace

absl::StatusOr<BenchResult> RunRecordOverheadBench(const BenchContext& context) {
  const int64_t prompts = context.is_short ? kPromptsInShort : kPrompts;
  InProcessServer::Options options;
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  options.recorded_prompts = 2;
  options.recorded_tokens = 2 * kPromptTokens;
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> server, InProcessServer::Create(options));
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> plain, server->MakeBatcher(false));
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> recording, server->MakeBatcher(true));
  ASSIGN_OR_RETURN(const PairSamples<> ttft,
                   MeasurePairs(
                       context.pairs, [&] { return TtftP50(*server, *plain, prompts, false); },
                       [&] { return TtftP50(*server, *recording, prompts, true); },
                       context.PairProgress("time to the first token")));
  const int64_t record_bytes = server->layout().RecordBytes(kPromptTokens, 1);
  BenchResult result;
  result.rows.push_back(RatioRow("ttft_p50_ratio", EstimateRatio(Ratios(ttft), ttft.a),
                                 Bound::AtMost(1.03),
                                 {{"dtype", DTypeName(server->model().dtype())},
                                  {"prompts", prompts},
                                  {"tokens", kPromptTokens},
                                  {"record_bytes_per_token", record_bytes / kPromptTokens},
                                  {"ttft_ms_unrecorded", Median(ttft.a) * 1e3},
                                  {"ttft_ms_recorded", Median(ttft.b) * 1e3}}));
  return result;
}

}  // namespace alchemist
