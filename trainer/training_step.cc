#include "trainer/training_step.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/logging.h"
#include "model/forward.h"

namespace alchemist {
namespace {

// Two answers share a prompt when it was computed at one revision from the same tokens.
bool SamePrompt(const StepItem& a, const StepItem& b) {
  return a.adapter == b.adapter && a.item->completion_id == b.item->completion_id &&
         a.item->prompt_tokens == b.item->prompt_tokens;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainingStep>> TrainingStep::Create(const Model* model,
                                                                   const ActivationLayout* layout,
                                                                   int64_t rows_max, Device* device,
                                                                   Stream* stream) {
  std::unique_ptr<TrainingStep> step(new TrainingStep(model, layout, device, stream));
  ASSIGN_OR_RETURN(step->scratch_, ForwardScratch::Create(*model, rows_max, *device));
  return step;
}

absl::StatusOr<StepOutcome> TrainingStep::Run(const std::vector<StepItem>& items,
                                              AdapterGradients* gradients,
                                              std::function<void(int64_t)> layer_done,
                                              const std::function<void(StepPhase)>& phase_done) {
  CHECK(!items.empty());
  Batch batch;
  FindPrompts(items, batch);
  RETURN_IF_ERROR(RunPrompts(batch));
  phase_done(StepPhase::kPrompts);
  RETURN_IF_ERROR(RunResponses(items, batch));
  phase_done(StepPhase::kResponses);
  MakeNodes(items, batch);
  BackwardOptions options;
  options.adapter_gradients = gradients;
  options.lowest_trained_layer = layout_->lowest_trained_layer();
  options.layer_done = std::move(layer_done);
  ASSIGN_OR_RETURN(const std::unique_ptr<BackwardPass> pass,
                   BackwardPass::Create(*model_, batch.nodes, batch.trained, std::move(options),
                                        *device_, *stream_));
  const absl::Span<const float> log_probs = pass->LogProbs();
  phase_done(StepPhase::kHead);
  std::vector<AnswerLogProbs> answers;
  size_t first = 0;
  for (const StepItem& item : items) {
    const size_t tokens = item.item->response_tokens.size();
    answers.push_back({log_probs.subspan(first, tokens)});
    first += tokens;
  }
  const ObjectiveResult objective = SupervisedObjective(answers);
  pass->Run(objective.c);
  StepOutcome outcome;
  outcome.loss = objective.loss;
  outcome.item_loss = objective.answer_loss;
  outcome.own_prompts.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const Prompt& prompt = batch.prompts[batch.prompt_of[i]];
    const bool response_read = items[i].response_record != nullptr;
    (response_read ? outcome.response_rows_read : outcome.response_rows_run) +=
        items[i].item->response_rows();
    if (prompt.first != &items[i]) continue;
    const int64_t rows = items[i].item->prompt_rows();
    (prompt.own.record == nullptr ? outcome.prompt_rows_read : outcome.prompt_rows_run) += rows;
    outcome.own_prompts[i] = prompt.own;
  }
  return outcome;
}

void TrainingStep::FindPrompts(const std::vector<StepItem>& items, Batch& batch) {
  for (const StepItem& item : items) {
    const auto same = std::find_if(batch.prompts.begin(), batch.prompts.end(),
                                   [&](const Prompt& p) { return SamePrompt(*p.first, item); });
    batch.prompt_of.push_back(static_cast<int>(same - batch.prompts.begin()));
    if (same == batch.prompts.end()) batch.prompts.push_back({&item, {}, {}});
  }
}

absl::Status TrainingStep::RunPrompts(Batch& batch) {
  std::vector<RowsToRun> all;
  for (Prompt& prompt : batch.prompts) {
    if (prompt.first->prompt_record != nullptr) {
      prompt.record = *prompt.first->prompt_record;
      continue;
    }
    prompt.own.part = static_cast<int>(all.size());
    RowsToRun& rows = all.emplace_back();
    rows.tokens = prompt.first->item->prompt_tokens;
    rows.adapter = prompt.first->adapter;
    rows.part.rows = prompt.first->item->prompt_rows();
    rows.part.head_rows = {static_cast<int32_t>(rows.part.rows - 1)};
  }
  if (all.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::shared_ptr<OwnRecord> record, RunAll(all));
  for (Prompt& prompt : batch.prompts) {
    if (prompt.first->prompt_record != nullptr) continue;
    prompt.own.record = record;
    prompt.record = ViewOwnRecord(*record, prompt.own.part);
  }
  return absl::OkStatus();
}

absl::Status TrainingStep::RunResponses(const std::vector<StepItem>& items, Batch& batch) {
  std::vector<RowsToRun> all;
  for (size_t i = 0; i < items.size(); ++i) {
    const TrainingItem& item = *items[i].item;
    const bool runs = item.response_rows() > 0 && items[i].response_record == nullptr;
    batch.response_part.push_back(runs ? static_cast<int>(all.size()) : -1);
    if (!runs) continue;
    RowsToRun& rows = all.emplace_back();
    rows.tokens = absl::MakeSpan(item.response_tokens).first(item.response_rows());
    rows.prefix = &batch.prompts[batch.prompt_of[i]].record;
    rows.adapter = items[i].adapter;
    rows.part.first_position = item.prompt_rows();
    rows.part.rows = item.response_rows();
    rows.part.head_rows.resize(rows.part.rows);  // Every response row's next token is trained.
    std::iota(rows.part.head_rows.begin(), rows.part.head_rows.end(), 0);
  }
  if (all.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(batch.responses, RunAll(all));
  return absl::OkStatus();
}

// Sequences share groups as far as rows_max goes; one that does not fit goes on in the next group.
absl::StatusOr<std::shared_ptr<OwnRecord>> TrainingStep::RunAll(const std::vector<RowsToRun>& all) {
  std::vector<OwnRecord::Part> parts;
  for (const RowsToRun& rows : all) parts.push_back(rows.part);
  ASSIGN_OR_RETURN(std::shared_ptr<OwnRecord> record,
                   OwnRecord::Create(*layout_, std::move(parts), *device_));
  std::vector<ForwardSpan> spans;
  std::vector<int32_t> tokens;
  int64_t first_row = 0;
  const auto run = [&] {
    const int64_t rows = static_cast<int64_t>(tokens.size());
    RunGroup(std::exchange(spans, {}), std::exchange(tokens, {}), first_row, *record);
    first_row += rows;
  };
  for (size_t i = 0; i < all.size(); ++i) {
    const int part = static_cast<int>(i);
    for (int64_t row = 0; row < all[i].part.rows;) {
      if (static_cast<int64_t>(tokens.size()) == scratch_->rows_max()) run();
      ForwardSpan& span = spans.emplace_back();
      span.first_row = static_cast<int64_t>(tokens.size());
      span.rows = std::min(scratch_->rows_max() - span.first_row, all[i].part.rows - row);
      span.first_position = all[i].part.first_position + row;
      span.adapter = all[i].adapter;
      span.kv = record->Kv(part);
      if (all[i].prefix != nullptr) {
        for (size_t layer = 0; layer < span.kv.size(); ++layer) {
          const std::vector<KvRun>& prefix = all[i].prefix->kv[layer];
          span.kv[layer].insert(span.kv[layer].begin(), prefix.begin(), prefix.end());
        }
      }
      span.kv_write = record->KvWrite(part, row, span.rows);
      const absl::Span<const int32_t> piece = all[i].tokens.subspan(row, span.rows);
      tokens.insert(tokens.end(), piece.begin(), piece.end());
      row += span.rows;
    }
  }
  run();
  return record;
}

void TrainingStep::RunGroup(std::vector<ForwardSpan> spans, std::vector<int32_t> tokens,
                            int64_t first_row, OwnRecord& record) {
  ForwardGroup group;
  group.tokens = std::move(tokens);
  group.spans = std::move(spans);
  group.head_rows = record.HeadRows(first_row, group.rows());
  group.activations = record.Activations(first_row, group.rows());
  scratch_->FillUnrecorded(group);
  ForwardEmbedding(*model_, group, *stream_);
  for (int64_t layer = 0; layer < layout_->layers(); ++layer) {
    ForwardLayer(*model_, layer, group, *scratch_, *stream_);
  }
}

void TrainingStep::MakeNodes(const std::vector<StepItem>& items, Batch& batch) const {
  for (const Prompt& prompt : batch.prompts) {
    BackwardNode& node = batch.nodes.emplace_back();
    node.tokens = prompt.first->item->prompt_tokens;
    node.adapter = prompt.first->adapter;
    node.activations = prompt.record.activations;
    node.kv = prompt.record.kv;
    node.head_rows = {static_cast<int32_t>(node.rows() - 1)};
  }
  for (size_t i = 0; i < items.size(); ++i) {
    const TrainingItem& item = *items[i].item;
    const int prompt = batch.prompt_of[i];
    batch.trained.push_back({prompt, 0, item.response_tokens[0]});
    if (item.response_rows() == 0) continue;
    const int index = static_cast<int>(batch.nodes.size());
    BackwardNode& node = batch.nodes.emplace_back();
    node.parent = prompt;
    node.first_position = item.prompt_rows();
    node.tokens.assign(item.response_tokens.begin(), item.response_tokens.end() - 1);
    node.adapter = items[i].adapter;
    const int part = batch.response_part[i];
    const RecordView response =
        part < 0 ? *items[i].response_record : ViewOwnRecord(*batch.responses, part);
    node.activations = response.activations;
    node.kv = response.kv;
    node.head_rows.resize(node.rows());
    std::iota(node.head_rows.begin(), node.head_rows.end(), 0);
    for (int64_t row = 0; row < node.rows(); ++row) {
      batch.trained.push_back({index, row, item.response_tokens[row + 1]});
    }
  }
}

}  // namespace alchemist
