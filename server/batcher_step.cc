// The part of Batcher that runs one step of the plan.
#include <algorithm>
#include <utility>

#include "base/kill_point.h"
#include "base/logging.h"
#include "kernels/log_prob.h"
#include "server/batcher.h"
#include "server/ids.h"
#include "server/record_layout.h"
#include "server/token_choice.h"

namespace alchemist {
namespace {

// What a token of an answer costs in the account of its tenant, beside 1 for one of a prompt: the
// weights of the paper that FairQueue names. What is run again after a preemption costs nothing.
constexpr int64_t kAnswerTokenCost = 2;

}  // namespace

void Batcher::RunPlan(const StepPlan& plan) {
  StepLog::Step step = {.begin_us = parts_.clock->MonotonicUs()};
  StepGroup recorded, unrecorded, scored, decode;
  decode.forward.phase = RowPhase::kDecode;
  std::vector<StepGroup::Part> decodes, prompts;
  for (const StepPlan::Part& part : plan.decode) {
    decodes.push_back({running_[part.sequence].get(), part.rows});
  }
  for (const StepPlan::Part& part : plan.prefill) {
    prompts.push_back({running_[part.sequence].get(), part.rows});
  }
  Preempt(plan.preempt);  // From here on the plan's indices mean nothing.
  for (const auto& [sequence, rows, wants_head, is_scored] : decodes) {
    CHECK(sequence->kv.Extend(sequence->rows_done + rows)) << "the plan made room";
    step.decode_rows += rows;
    if (rows == sequence->rows_left()) responses_.MakeRoom(*sequence);
    AddPart(decode, *sequence, rows);
  }
  for (const auto& [sequence, rows, wants_head, is_scored] : prompts) {
    step.prompt_rows += rows;
    if (!std::exchange(sequence->has_begun, true)) {
      step_log_.Add(StepLog::Wait{step.begin_us, step.begin_us - sequence->queued_us});
      metrics_.OnQueued(step.begin_us - sequence->queued_us);
    }
    const bool fills = sequence->recording == Sequence::Recording::kFilling;
    AddPart(fills ? recorded : sequence->wants_scores() ? scored : unrecorded, *sequence, rows);
  }
  RecordGroup(recorded, unrecorded);
  RunGroup(decode);
  RunGroup(recorded);
  RunGroup(unrecorded);
  RunGroup(scored);
  step.us = parts_.clock->MonotonicUs() - step.begin_us;
  step_log_.Add(step);
  metrics_.OnStep(step.us);
}

void Batcher::AddPart(StepGroup& group, Sequence& sequence, int64_t rows) {
  ForwardSpan span;
  span.first_row = group.forward.rows();
  span.rows = rows;
  span.first_position = sequence.rows_done;
  span.adapter = sequence.revision->adapter.get();
  for (int64_t position = sequence.rows_done; position < sequence.rows_done + rows; ++position) {
    const int64_t answer = position - sequence.prompt_rows();
    group.forward.tokens.push_back(answer < 0 ? sequence.request.prompt_tokens[position]
                                              : sequence.output[answer]);
  }
  span.kv = sequence.kv.runs();
  span.kv_write = sequence.kv.Rows(span.first_position, rows);
  const bool wants_head = rows == sequence.rows_left();  // The next token is not known.
  const bool scored = sequence.wants_scores();
  for (int64_t row = scored ? 0 : rows - (wants_head ? 1 : 0); row < rows; ++row) {
    group.forward.head_rows.push_back(static_cast<int32_t>(span.first_row + row));
  }
  group.forward.spans.push_back(std::move(span));
  group.parts.push_back({&sequence, rows, wants_head, scored});
}

const Block* Batcher::BlockFor(const StepGroup& recorded) {
  std::vector<BlockRun> runs;
  for (const StepGroup::Part& part : recorded.parts) {
    runs.push_back(
        {part.sequence->record_id, part.sequence->rows_done, part.rows, part.wants_head ? 1 : 0});
  }
  return parts_.store->AppendBlock(std::move(runs));
}

// The record of the longest prompt of the group: it wants most and gives most back. Its rows join
// the unrecorded ones; its K/V stays until the request ends.
void Batcher::AbandonLongest(StepGroup& recorded, StepGroup& unrecorded) {
  const auto longest = std::max_element(
      recorded.parts.begin(), recorded.parts.end(), [](const auto& a, const auto& b) {
        return a.sequence->prompt_rows() < b.sequence->prompt_rows();
      });
  Sequence& sequence = *longest->sequence;
  sequence.recording = Sequence::Recording::kAbandoned;
  parts_.store->DropRuns(sequence.record_id);
  AddPart(unrecorded, sequence, longest->rows);
  StepGroup rest;
  for (const StepGroup::Part& part : recorded.parts) {
    if (part.sequence != &sequence) AddPart(rest, *part.sequence, part.rows);
  }
  recorded = std::move(rest);
}

// Takes a block for the recorded rows, of as many prompts as there is room for.
void Batcher::RecordGroup(StepGroup& recorded, StepGroup& unrecorded) {
  const Block* block = nullptr;
  while (!recorded.parts.empty() && block == nullptr) {
    block = BlockFor(recorded);
    if (block == nullptr) AbandonLongest(recorded, unrecorded);
  }
  if (block == nullptr) return;
  const int64_t rows = recorded.forward.rows();
  const int64_t head_rows = static_cast<int64_t>(recorded.forward.head_rows.size());
  recorded.forward.activations.resize(parts_.layout->layers() + 1);
  WriteToBlock(*parts_.layout, *block, parts_.store->data(), rows, head_rows,
               recorded.forward.activations);
}

void Batcher::RunGroup(StepGroup& group) {
  if (group.parts.empty()) return;
  ForwardGroup& forward = group.forward;
  const bool decodes = forward.phase == RowPhase::kDecode;
  std::vector<Sequence*> sequences;
  for (const StepGroup::Part& part : group.parts) sequences.push_back(part.sequence);
  scratch_->FillUnrecorded(forward);
  ForwardEmbedding(*parts_.model, forward, *parts_.stream);
  for (int64_t layer = 0; layer < parts_.layout->layers(); ++layer) {
    ForwardLayer(*parts_.model, layer, forward, *scratch_, *parts_.stream);
    if (decodes) responses_.CopyLayer(layer, forward, sequences);
    parts_.poll();
  }
  const TensorView logits = Logits(forward);
  int64_t head_row = 0;
  for (const StepGroup::Part& part : group.parts) {
    Sequence& sequence = *part.sequence;
    const int64_t first_row = std::exchange(sequence.rows_done, sequence.rows_done + part.rows);
    if (!decodes && sequence.prompt_rows_left() == 0) AfterPrompt(sequence);
    if (part.scored) {
      ScorePrompt(sequence, first_row, logits.Rows(head_row, part.rows));
      head_row += part.rows - 1;
    }
    if (decodes && part.wants_head) responses_.RowDone(sequence);
    if (part.wants_head) {
      const float* const row = logits.Row<float>(head_row);
      if (sequence.output.empty() && sequence.choice == 0) SplitChoices(sequence, row);
      TakeToken(sequence, row);
    }
    if (part.wants_head || part.scored) ++head_row;
  }
}

// Of the group's head rows, [head rows, vocab].
TensorView Batcher::Logits(ForwardGroup& forward) {
  const int64_t head_rows = static_cast<int64_t>(forward.head_rows.size());
  const TensorView logits = logits_.View(DType::kF32, head_rows, parts_.model->config().vocab);
  if (head_rows > 0) ForwardLogits(*parts_.model, forward, *scratch_, logits, *parts_.stream);
  return logits;
}

void Batcher::AfterPrompt(Sequence& sequence) {
  if (sequence.recording == Sequence::Recording::kFilling) {
    parts_.store->Seal(sequence.record_id, sequence.prompt_rows(), sequence.hashes);
    sequence.kv.SealRecord();
    sequence.recording = Sequence::Recording::kSealed;
    KILL_POINT("server.record_sealed");
    ++counters_.recorded;
    if (options_.record == RecordMode::kAll) {
      responses_.Begin(sequence, parts_.clock->MonotonicUs());
    }
  } else if (sequence.output.empty()) {
    ++counters_.unrecorded;
  }
}

// The prompt's rows [first_row, first_row + logits.rows) were run: each row is what the next prompt
// token was to be expected by. A preempted prompt's first rows are run twice.
void Batcher::ScorePrompt(Sequence& sequence, int64_t first_row, TensorView logits) {
  PromptLogprobs& scores = sequence.prompt_logprobs;
  const int64_t count = *sequence.request.prompt_logprobs;
  for (int64_t row = 0; row < logits.rows; ++row) {
    const int64_t next = first_row + row + 1;
    if (next == sequence.prompt_rows()) break;
    if (next <= static_cast<int64_t>(scores.logprobs.size())) continue;
    const absl::Span<const float> values(logits.Row<float>(row), logits.width);
    const int32_t token = sequence.request.prompt_tokens[next];
    scores.logprobs.push_back(static_cast<float>(LogSoftmaxAt(values, token)));
    if (count > 0) scores.top.push_back(MostProbable(values, count));
  }
  if (sequence.prompt_rows_left() == 0) sequence.stream->Push(std::move(scores));
}

// The prompt was run: each further choice has its first token drawn from the same logits, and goes
// on like a request that was preempted there. They share the prompt's record; without one the K/V
// cannot be shared, and they run the prompt again.
void Batcher::SplitChoices(Sequence& sequence, const float* logits) {
  const bool sealed = sequence.recording == Sequence::Recording::kSealed;
  for (int64_t choice = sequence.request.choices - 1; choice > 0; --choice) {
    SequencePtr split = MakeSequence(sequence.request, sequence.stream);
    split->choice = choice;
    split->aborted = sequence.aborted;  // Perhaps since this step began.
    split->revision = sequence.revision;
    split->prefix = sequence.prefix;
    split->queued_us = sequence.queued_us;
    split->has_begun = true;
    if (sealed) {
      split->record_id = sequence.record_id;
      split->recording = Sequence::Recording::kSealed;
      parts_.store->Pin(split->record_id, parts_.clock->MonotonicUs());
      split->kv.UseRecord(split->record_id, split->prompt_rows());
      split->kv.SealRecord();
      split->rows_done = split->prompt_rows();
      if (options_.record == RecordMode::kAll) {
        responses_.Begin(*split, parts_.clock->MonotonicUs());
      }
    } else if (split->prefix.record_id != 0) {
      UsePrefix(*split);
      split->rows_done = split->prefix.tokens;
    }
    TakeToken(*split, logits);
    if (split->finished) continue;
    const CompletionRequest& request = split->request;
    waiting_.PushSplit(request.tenant, request.priority, std::move(split));
  }
}

void Batcher::TakeToken(Sequence& sequence, const float* logits) {
  const CompletionRequest& request = sequence.request;
  const std::vector<int32_t>& eos_ids = parts_.model->config().eos_ids;
  const absl::Span<const float> row(logits, parts_.model->config().vocab);
  const int32_t token = ChooseToken(request, sequence.seed(), sequence.output, row, eos_ids);
  waiting_.Charge(request.tenant, kAnswerTokenCost);
  ++counters_.generation_tokens;
  if (sequence.output.empty()) {
    sequence.first_token_us = parts_.clock->MonotonicUs();
    metrics_.OnFirstToken(sequence.first_token_us - sequence.queued_us, sequence.prompt_rows());
  }
  sequence.output.push_back(token);
  sequence.log_probs.push_back(static_cast<float>(LogSoftmaxAt(row, token)));
  CompletionChunk chunk;
  chunk.choice = sequence.choice;
  chunk.token_ids = {token};
  if (request.logprobs) chunk.logprobs = {sequence.log_probs.back()};
  if (request.top_logprobs > 0) chunk.top = {MostProbable(row, request.top_logprobs)};
  const bool may_stop = static_cast<int64_t>(sequence.output.size()) >= request.min_tokens;
  std::optional<FinishReason> end = EndOfAnswer(request, sequence.output, eos_ids);
  const bool by_token = end == FinishReason::kEos || end == FinishReason::kStop;
  if (!by_token) chunk.text = sequence.text.Push(token, may_stop);  // What ends it is no text.
  if (sequence.text.stopped()) end = FinishReason::kStop;
  if (end.has_value()) chunk.text += sequence.text.Finish();
  sequence.stream->Push(std::move(chunk));  // Room was seen when the step was planned.
  if (end.has_value()) Finish(sequence, *end);
}

void Batcher::CountEnd(const Sequence& sequence, FinishReason reason, int64_t tokens) {
  const int64_t now_us = parts_.clock->MonotonicUs();
  metrics_.OnEnd(now_us - sequence.queued_us, now_us - sequence.first_token_us, tokens);
  counters_.eos += reason == FinishReason::kEos ? 1 : 0;
  counters_.length += reason == FinishReason::kLength ? 1 : 0;
  counters_.stop += reason == FinishReason::kStop ? 1 : 0;
}

void Batcher::Finish(Sequence& sequence, FinishReason reason) {
  CompletionEnd end;
  end.choice = sequence.choice;
  end.completion_id = MintCompletionId();
  end.revision = sequence.revision->id;
  end.prompt_tokens = sequence.prompt_rows();
  end.cached_tokens = sequence.prefix.tokens;
  end.completion_tokens = static_cast<int64_t>(sequence.output.size());
  end.finish_reason = reason;
  end.recorded = sequence.recording == Sequence::Recording::kSealed;
  FinishedCompletion finished;
  finished.request_id = sequence.request.request_id;
  finished.record_id = end.recorded ? sequence.record_id : 0;
  finished.response_record_id =
      responses_.Seal(sequence, IdentityOf(sequence), parts_.clock->MonotonicUs());
  if (finished.response_record_id != 0) ++counters_.answers_recorded;
  CompletionRow& row = finished.row;
  row.completion_id = end.completion_id;
  row.tenant = sequence.request.tenant;
  row.base = {parts_.model->base_digest(), parts_.tokenizer->digest()};
  row.revision = sequence.revision->id;
  row.prompt_tokens = sequence.request.prompt_tokens;
  row.response_tokens = std::move(sequence.output);
  row.log_probs = std::move(sequence.log_probs);
  row.finish_reason = reason;
  row.is_steered = sequence.request.adjustments.any() || sequence.request.ignore_eos ||
                   sequence.request.min_tokens > 0;
  row.created_unix_us = parts_.clock->WallUs();
  EndRecord(sequence);
  log_.Finished(sequence, end);
  lengths_.Add(end.completion_tokens);
  CountEnd(sequence, reason, end.completion_tokens);
  sequence.finished = true;
  if (!sequence.request.no_train) parts_.on_finished(std::move(finished));
  PushEnd(sequence, std::move(end));
}

}  // namespace alchemist
