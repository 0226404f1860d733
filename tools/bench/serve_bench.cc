// Workloads, but for the last two by the server's batcher in this process, recorded, with LoRA
// r=16:
//   prefill_512_of_matmul_peak     A: oneDNN over the seven linears of a layer, 512 rows, as often
//                                  as the model has layers. B: a prompt of 512 random tokens to its
//                                  first token. The same for 128 and 1,024 tokens.
//   prefill_4096_over_512          Tokens per second. A: eight prompts of 512 tokens, one after the
//                                  other. B: one of 4,096.
//   prefix_hit_ttft_ratio          A prompt of 1,280 tokens to its first token. A: nothing of it is
//                                  recorded. B: its first 1,152 tokens are.
//   decode_1_of_read_bandwidth     A: reading memory. B: 32 steps of one sequence after a prompt of
//                                  32 tokens; its bytes are the base model's weights alone.
//   decode_8_over_1                Tokens per second of 32 steps. A: one sequence. B: eight.
//   step_p95_beside_prefill_ratio_ROWS
//                                  The p95 of the steps of eight sequences that decode. A: nobody
//                                  else is there. B: while a prompt of 4,096 tokens is run beside
//                                  them. With so many --prompt_rows_beside_decodes; the bound is
//                                  the default's.
//   e2e_us_per_token               CPU time. A: the engine of a tiny model in this process makes 64
//                                  answers of 256 tokens at once. B: alchemist-server on the same
//                                  model, for 64 clients. B - A: what gRPC and all around it cost.
//   command_latency_p99_ms         GetLoad, one call after the other, while alchemist-server runs
//                                  prompts of 2,048 tokens. The bound is a layer of a chunk and
//                                  5 ms.
#include "tools/bench/serve_bench.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tools/bench/decode_rows.h"
#include "tools/bench/grpc_rows.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/prefill_rows.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptsOfPeak[] = {128, 512, 1024};

}  // namespace

absl::StatusOr<BenchResult> RunServeBench(const BenchContext& context) {
  InProcessServer::Options options;
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  options.serving_tokens = 20'480;
  options.recorded_prompts = 12;
  // The longest prompt; the oldest record makes room for the next one, as in a server.
  options.recorded_tokens = context.is_short ? 4096 : 6144;
  options.recorded_rows_per_step = 32;
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> server, InProcessServer::Create(options));
  BenchResult result;
  for (const int64_t tokens : kPromptsOfPeak) {
    if (!context.Wants(absl::StrCat("prefill_", tokens, "_of_matmul_peak"))) continue;
    ASSIGN_OR_RETURN(result.rows.emplace_back(), PrefillOfMatmulPeak(context, *server, tokens));
  }
  using Row = absl::StatusOr<BenchRow>(const BenchContext&, InProcessServer&);
  const std::pair<const char*, Row*> rows[] = {
      {"prefill_4096_over_512", PrefillLongOverShort},
      {"prefix_hit_ttft_ratio", PrefixHitTtft},
      {"decode_1_of_read_bandwidth", DecodeOfReadBandwidth},
      {"decode_8_over_1", DecodeEightOverOne}};
  for (const auto& [name, measure] : rows) {
    if (!context.Wants(name)) continue;
    ASSIGN_OR_RETURN(result.rows.emplace_back(), measure(context, *server));
  }
  ASSIGN_OR_RETURN(std::vector<BenchRow> steps, StepsBesidePrefill(context, *server));
  for (BenchRow& row : steps) result.rows.push_back(std::move(row));
  if (context.Wants("e2e_us_per_token")) {
    ASSIGN_OR_RETURN(result.rows.emplace_back(), CpuPerToken(context));
  }
  if (context.Wants("command_latency_p99_ms")) {
    ASSIGN_OR_RETURN(result.rows.emplace_back(), CommandLatency(context));
  }
  return result;
}

}  // namespace alchemist
