// Workloads, all by the server's batcher in this process. The ratios of times take 25 times the
// pairs that were asked for: short turns that alternate see the same machine, and many of them are
// needed to tell 3% from its restlessness. Both turns of a pair have the same prompts; in the store
// older records must make room for the newer ones, as in a server.
//   ttft_p50_ratio       A prompt of 512 random tokens to its first token. A: nothing is recorded.
//                        B: the prompt is (prefill).
//   tpot_p50_ratio_all   The time per token of 4 answers that are decoded together, over 32 steps
//                        after prompts of 32 tokens. A: nothing is recorded. B: prompts and answers
//                        are (all). Together, since each sequence adds what is recorded of it but
//                        no reading of weights: one alone would hide what recording costs.
//   capacity_ratio       Requests that run after one step of a burst of 64, each a prompt of 128
//                        tokens and as many of answer; serving's K/V pages hold 4,096 tokens. A:
//                        nothing is recorded, the store is empty. B: prompts are recorded, the
//                        store is full of unleased records. Exact. It may be above 1: a recorded
//                        prompt's K/V lies in pages of the records.
#include "tools/bench/record_overhead_bench.h"

#include <utility>

#include "tools/bench/capacity_row.h"
#include "tools/bench/recording_speed_rows.h"

namespace alchemist {

absl::StatusOr<BenchResult> RunRecordOverheadBench(const BenchContext& context) {
  using Row = absl::StatusOr<BenchRow>(const BenchContext&);
  const std::pair<const char*, Row*> rows[] = {{"ttft_p50_ratio", TtftOfRecording},
                                               {"tpot_p50_ratio_all", TpotOfRecording},
                                               {"capacity_ratio", CapacityOfRecording}};
  BenchResult result;
  for (const auto& [name, measure] : rows) {
    if (!context.Wants(name)) continue;
    ASSIGN_OR_RETURN(result.rows.emplace_back(), measure(context));
  }
  return result;
}

}  // namespace alchemist
