#include "tools/bench/step_batch.h"

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "tools/bench/bench_adapter.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/stopwatch.h"

namespace alchemist {
namespace {

constexpr int64_t kForwardRows = 512;  // The trainer's default.

// The time since the last call, or since it was made.
class Laps {
 public:
  double Next() {
    const int64_t now_us = Clock::Real()->MonotonicUs();
    const double seconds = SecondsBetween(last_us_, now_us);
    last_us_ = now_us;
    return seconds;
  }

 private:
  int64_t last_us_ = Clock::Real()->MonotonicUs();
};

TrainingItem RandomItem(const RequestLengths& lengths, int64_t vocab, uint64_t seed) {
  TrainingItem item;
  item.completion_id = absl::StrCat("completion-", seed);
  item.prompt_tokens = BenchPrompt(lengths.prompt, vocab, 2 * seed);
  item.response_tokens = BenchPrompt(lengths.response, vocab, 2 * seed + 1);
  return item;
}

}  // namespace

double StepFlops::total() const {
  return prompts.total() + responses.total() + head.total() + backward.total();
}

absl::StatusOr<std::unique_ptr<StepBatch>> StepBatch::Create(
    absl::Span<const RequestLengths> requests, InProcessServer* server,
    const std::string& socket_path) {
  std::unique_ptr<StepBatch> batch(new StepBatch(server));
  for (size_t i = 0; i < requests.size(); ++i) {
    batch->items_.push_back(RandomItem(requests[i], server->model().config().vocab, i));
  }
  ASSIGN_OR_RETURN(batch->leases_, LeasedRecords::Attach(server, socket_path));
  RETURN_IF_ERROR(batch->ServePrompts());
  ASSIGN_OR_RETURN(batch->step_,
                   TrainingStep::Create(&server->model(), &server->layout(), kForwardRows,
                                        &batch->step_memory_, &server->stream()));
  return batch;
}

absl::Status StepBatch::ServePrompts() {
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher,
                   server_->MakeBatcher(InProcessServer::OptionsFor(RecordMode::kPrefill)));
  for (const TrainingItem& item : items_) {
    RETURN_IF_ERROR(server_->Prefill(*batcher, item.prompt_tokens).status());
    ASSIGN_OR_RETURN(records_.emplace_back(), leases_->Lease(server_->last_record_id()));
  }
  return absl::OkStatus();
}

absl::StatusOr<StepTimes> StepBatch::Run(bool reads_records, AdapterGradients* gradients) {
  gradients->SetZero();
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  std::vector<RecordView> mapped;
  for (const RecordDescriptor& record : records_) {
    if (!reads_records) break;
    ASSIGN_OR_RETURN(mapped.emplace_back(), leases_->Map(record));
  }
  std::vector<StepItem> step_items;
  for (size_t i = 0; i < items_.size(); ++i) {
    step_items.push_back({&items_[i], &server_->adapter(), reads_records ? &mapped[i] : nullptr});
  }
  StepTimes times;
  Laps laps;
  const auto on_phase = [&](StepPhase phase) {
    (phase == StepPhase::kPrompts     ? times.prompts
     : phase == StepPhase::kResponses ? times.responses
                                      : times.head) = laps.Next();
  };
  RETURN_IF_ERROR(step_->Run(step_items, gradients, /*layer_done=*/nullptr, on_phase).status());
  times.backward = laps.Next();
  times.all = SecondsBetween(begin_us, Clock::Real()->MonotonicUs());
  return times;
}

StepFlops StepBatch::CountFlops() const {
  const ModelConfig& config = server_->model().config();
  StepFlops flops;
  for (const TrainingItem& item : items_) {
    const RowRange prompt = {.rows = item.prompt_rows(), .head_rows = 1};
    const RowRange response = {.first_position = item.prompt_rows(),
                               .rows = item.response_rows(),
                               .head_rows = item.response_rows()};
    flops.prompts += ForwardFlops(config, kBenchRank, prompt);
    flops.responses += ForwardFlops(config, kBenchRank, response);
    flops.head += HeadFlops(config, 2 * static_cast<int64_t>(item.response_tokens.size()));
    flops.backward += BackwardFlops(config, kBenchRank, prompt);
    flops.backward += BackwardFlops(config, kBenchRank, response);
  }
  return flops;
}

}  // namespace alchemist
