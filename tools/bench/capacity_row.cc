#include "tools/bench/capacity_row.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "activation_store/store.h"
#include "server/batcher.h"
#include "server/completion_stream.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/in_process_server.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptTokens = 128;
constexpr int64_t kAnswerTokens = 128;
constexpr int64_t kBurst = 64;
constexpr int64_t kServingTokens = 4096;  // 16 requests, or the answers of 32.
// The prompts' K/V of the whole burst and all else of one step's rows are less than this.
constexpr int64_t kRecordedTokens = 1536;
constexpr int64_t kFillsMax = 64;

struct Capacity {
  int64_t running = 0;
  int64_t prompts_recorded = 0;  // Of those that the step ran to their end.
  ActivationStore::Ledger ledger;
};

// Of the burst: who runs after one step.
absl::StatusOr<Capacity> RunBurst(InProcessServer& server, RecordMode mode) {
  BatcherOptions options = InProcessServer::OptionsFor(mode);
  options.running_max = kBurst + 1;
  // No answer has ended here, so that each is expected to be as long as it may.
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher, server.MakeBatcher(options));
  const int64_t vocab = server.model().config().vocab;
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (int64_t i = 0; i < kBurst; ++i) {
    ASSIGN_OR_RETURN(streams.emplace_back(),
                     server.Add(*batcher, BenchPrompt(kPromptTokens, vocab, i), kAnswerTokens));
  }
  batcher->RunStep();
  const Capacity capacity = {batcher->running(), batcher->counters().recorded,
                             server.store().ledger()};
  const bool all_run = batcher->waiting() == 0;
  batcher->FailAll(absl::CancelledError("measured"));
  if (all_run) return absl::InternalError("a burst that K/V pages do not limit");
  return capacity;
}

// With records of prompts of their own, until the next one makes an older one go.
absl::Status FillStore(InProcessServer& server) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher,
                   server.MakeBatcher(InProcessServer::OptionsFor(RecordMode::kPrefill)));
  const int64_t vocab = server.model().config().vocab;
  for (int64_t fill = 0; fill < kFillsMax; ++fill) {
    const auto prompt = BenchPrompt(kPromptTokens, vocab, /*seed=*/kBurst + fill);
    RETURN_IF_ERROR(server.Prefill(*batcher, prompt).status());
    if (server.store().ledger().evictions > 0) return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("the store is not full after ", kFillsMax, " prompts"));
}

}  // namespace

absl::StatusOr<BenchRow> CapacityOfRecording(const BenchContext& context) {
  RETURN_IF_ERROR(context.progress("requests that run at once", 0, 1));
  InProcessServer::Options options;
  options.model_directory = context.model_directory;
  options.threads = context.threads;
  options.serving_tokens = kServingTokens;
  options.recorded_prompts = kBurst;
  options.recorded_tokens = kRecordedTokens;
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> server, InProcessServer::Create(options));
  const ActivationStore& store = server->store();
  ASSIGN_OR_RETURN(const Capacity off, RunBurst(*server, RecordMode::kOff));
  if (off.ledger.records != 0) return absl::InternalError("the store was not empty");
  RETURN_IF_ERROR(FillStore(*server));
  const ActivationStore::Ledger before = store.ledger();
  ASSIGN_OR_RETURN(const Capacity recording, RunBurst(*server, RecordMode::kPrefill));
  if (recording.prompts_recorded == 0) return absl::InternalError("nothing was recorded");
  return ExactRow("capacity_ratio",
                  static_cast<double>(recording.running) / static_cast<double>(off.running),
                  "ratio", Bound::AtLeast(0.99),
                  {{"burst", kBurst},
                   {"prompt_tokens", kPromptTokens},
                   {"answer_tokens", kAnswerTokens},
                   {"serving_kv_pages", store.serving_kv_pages() / server->layout().layers()},
                   {"running_off", off.running},
                   {"running_recording", recording.running},
                   {"prompts_recorded", recording.prompts_recorded},
                   {"records_before", before.records},
                   {"records_after", recording.ledger.records},
                   {"evictions", recording.ledger.evictions - before.evictions}});
}

}  // namespace alchemist
