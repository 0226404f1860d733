#include "server/batcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "base/random.h"
#include "kernels/log_prob.h"
#include "kernels/sampling.h"
#include "server/ids.h"
#include "server/record_layout.h"

namespace alchemist {
namespace {

KvGeometry GeometryOf(const ActivationLayout& layout) {
  return {layout.layers(), layout.kv_width(), layout.dtype()};
}

// The draw for the token at `position`: a function of (seed, position), so that a request that is
// run again draws the same.
double UniformAt(uint64_t seed, int64_t position) {
  return Random(Random(seed).Next() + static_cast<uint64_t>(position)).Uniform();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Batcher>> Batcher::Create(const BatcherOptions& options, Parts parts,
                                                         Device& device) {
  std::unique_ptr<Batcher> batcher(new Batcher(options, std::move(parts)));
  const Model& model = *batcher->parts_.model;
  const int64_t rows_max = std::max(options.scheduler.rows_per_step, options.running_max);
  ASSIGN_OR_RETURN(batcher->scratch_, ForwardScratch::Create(model, rows_max, device));
  const int64_t logits_bytes =
      options.running_max * model.config().vocab * BytesPerElement(DType::kF32);
  ASSIGN_OR_RETURN(batcher->logits_, device.Allocate(logits_bytes));
  return batcher;
}

absl::Status Batcher::Add(CompletionRequest request, std::shared_ptr<CompletionStream> stream) {
  if (draining_) return absl::UnavailableError("the server is stopping");
  if (waiting() >= options_.waiting_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full: ", options_.waiting_max, " requests wait"));
  }
  const int64_t tokens = static_cast<int64_t>(request.prompt_tokens.size()) + request.max_tokens;
  const int64_t pages = (SequenceKv::PagesNeeded(tokens) + 1) * parts_.layout->layers();
  if (pages > parts_.store->serving_kv_pages()) {
    return absl::ResourceExhaustedError(absl::StrCat("prompt and max_tokens need ", pages,
                                                     " K/V pages, the server has ",
                                                     parts_.store->serving_kv_pages()));
  }
  waiting_.push_back(std::make_unique<Sequence>(std::move(request), std::move(stream),
                                                parts_.tokenizer, GeometryOf(*parts_.layout),
                                                parts_.store));
  waiting_.back()->queued_us = parts_.clock->MonotonicUs();
  return absl::OkStatus();
}

void Batcher::Admit() {
  while (!waiting_.empty() && running() < options_.running_max) {
    if (!Start(*waiting_.front())) return;  // In order: nobody overtakes a large request.
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

bool Batcher::Start(Sequence& sequence) {
  sequence.revision = parts_.pin(sequence.request);
  if (options_.record_prompts && BeginRecord(sequence)) {
    sequence.kv.UseRecord(sequence.record_id, sequence.prompt_rows());
  }
  if (sequence.kv.Reserve(sequence.prompt_rows() + sequence.request.max_tokens)) return true;
  EndRecord(sequence);  // Not its turn yet. The record is begun anew when it is.
  return false;
}

bool Batcher::BeginRecord(Sequence& sequence) {
  const ServedRevision& revision = *sequence.revision;
  RecordIdentity identity;
  identity.base_digest = parts_.model->base_digest();
  identity.tokenizer_digest = parts_.tokenizer->digest();
  identity.adapter_id = revision.id.adapter_id;
  identity.revision = static_cast<uint64_t>(revision.id.number);
  identity.revision_digest = revision.id.digest;
  sequence.record_id = parts_.store->Begin(std::move(identity), parts_.clock->MonotonicUs());
  for (int64_t position = 0; position < sequence.prompt_rows(); position += kKvPageTokens) {
    if (!parts_.store->AppendKvPages(sequence.record_id, position)) {
      parts_.store->Abort(sequence.record_id);
      return false;
    }
  }
  sequence.recording = Sequence::Recording::kFilling;
  return true;
}

// Cancelled calls, and those whose reader holds a slot without taking anything.
void Batcher::DropGone() {
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    if (!sequence->stream->cancelled && !ReaderIsGone(*sequence)) continue;
    EndRecord(*sequence);
    sequence->stream->events.Close();
    sequence->finished = true;
  }
  RemoveFinished();
  std::erase_if(waiting_, [](const auto& sequence) { return sequence->stream->cancelled.load(); });
}

bool Batcher::ReaderIsGone(Sequence& sequence) const {
  if (sequence.stream->HasRoom()) {
    sequence.no_room_since_us = 0;
    return false;
  }
  const int64_t now_us = parts_.clock->MonotonicUs();
  if (sequence.no_room_since_us == 0) sequence.no_room_since_us = now_us;
  return now_us - sequence.no_room_since_us >= options_.reader_timeout_us;
}

StepPlan Batcher::Plan() const {
  std::vector<RunningSequence> running;
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    running.push_back({sequence->prompt_rows_left(), sequence->stream->HasRoom()});
  }
  return PlanStep(options_.scheduler, running);
}

bool Batcher::RunStep() {
  DropGone();
  Admit();
  const StepPlan plan = Plan();
  if (plan.empty()) return false;
  StepLog::Step step = {.begin_us = parts_.clock->MonotonicUs(),
                        .decode_rows = static_cast<int64_t>(plan.decode.size())};
  StepGroup recorded, unrecorded, decode;
  for (const StepPlan::Prefill& prefill : plan.prefill) {
    Sequence& sequence = *running_[prefill.sequence];
    step.prompt_rows += prefill.rows;
    if (sequence.prompt_rows_done == 0) {
      step_log_.Add(StepLog::Wait{step.begin_us, step.begin_us - sequence.queued_us});
    }
    const bool fills = sequence.recording == Sequence::Recording::kFilling;
    AddPart(fills ? recorded : unrecorded, sequence, prefill.rows);
  }
  for (const int64_t index : plan.decode) AddPart(decode, *running_[index], 1);
  decode.forward.phase = RowPhase::kDecode;
  RecordGroup(recorded, unrecorded);
  RunGroup(decode);
  RunGroup(recorded);
  RunGroup(unrecorded);
  RemoveFinished();
  step.us = parts_.clock->MonotonicUs() - step.begin_us;
  step_log_.Add(step);
  return true;
}

void Batcher::AddPart(StepGroup& group, Sequence& sequence, int64_t rows) {
  ForwardSpan span;
  span.first_row = group.forward.rows();
  span.rows = rows;
  span.adapter = sequence.revision->adapter.get();
  bool wants_head = true;
  if (sequence.prompt_rows_left() == 0) {
    span.first_position = sequence.prompt_rows() + static_cast<int64_t>(sequence.output.size()) - 1;
    group.forward.tokens.push_back(sequence.output.back());
  } else {
    span.first_position = sequence.prompt_rows_done;
    const auto begin = sequence.request.prompt_tokens.begin() + sequence.prompt_rows_done;
    group.forward.tokens.insert(group.forward.tokens.end(), begin, begin + rows);
    wants_head = sequence.prompt_rows_left() == rows;
  }
  span.kv = sequence.kv.runs();
  span.kv_write = sequence.kv.Rows(span.first_position, rows);
  if (wants_head) {
    group.forward.head_rows.push_back(static_cast<int32_t>(span.first_row + rows - 1));
  }
  group.forward.spans.push_back(std::move(span));
  group.parts.push_back({&sequence, rows, wants_head});
}

// Takes a block for the recorded rows. Without room they join the unrecorded ones, and their
// records end when the requests do.
void Batcher::RecordGroup(StepGroup& recorded, StepGroup& unrecorded) {
  if (recorded.parts.empty()) return;
  std::vector<BlockRun> runs;
  for (const StepGroup::Part& part : recorded.parts) {
    runs.push_back({part.sequence->record_id, part.sequence->prompt_rows_done, part.rows,
                    part.wants_head ? 1 : 0});
  }
  const Block* block = parts_.store->AppendBlock(std::move(runs));
  if (block == nullptr) {
    for (const StepGroup::Part& part : recorded.parts) {
      part.sequence->recording = Sequence::Recording::kAbandoned;
      AddPart(unrecorded, *part.sequence, part.rows);
    }
    recorded = StepGroup();
    return;
  }
  const int64_t rows = recorded.forward.rows();
  const int64_t head_rows = static_cast<int64_t>(recorded.forward.head_rows.size());
  recorded.forward.activations.resize(parts_.layout->layers() + 1);
  WriteToBlock(*parts_.layout, *block, parts_.store->data(), rows, head_rows,
               recorded.forward.activations);
}

void Batcher::RunGroup(StepGroup& group) {
  if (group.parts.empty()) return;
  ForwardGroup& forward = group.forward;
  const int64_t head_rows = static_cast<int64_t>(forward.head_rows.size());
  scratch_->FillUnrecorded(forward);
  ForwardEmbedding(*parts_.model, forward, *parts_.stream);
  for (int64_t layer = 0; layer < parts_.layout->layers(); ++layer) {
    ForwardLayer(*parts_.model, layer, forward, *scratch_, *parts_.stream);
    parts_.poll();
  }
  const TensorView logits = logits_.View(DType::kF32, head_rows, parts_.model->config().vocab);
  if (head_rows > 0) ForwardLogits(*parts_.model, forward, *scratch_, logits, *parts_.stream);
  int64_t head_row = 0;
  for (const StepGroup::Part& part : group.parts) {
    if (part.sequence->prompt_rows_left() > 0) AfterPrefill(*part.sequence, part.rows);
    if (part.wants_head) TakeToken(*part.sequence, logits.Row<float>(head_row++));
  }
}

void Batcher::AfterPrefill(Sequence& sequence, int64_t rows) {
  sequence.prompt_rows_done += rows;
  if (sequence.prompt_rows_left() > 0) return;
  if (sequence.recording == Sequence::Recording::kFilling) {
    sequence.kv.LeaveRecord(sequence.prompt_rows());
    parts_.store->Seal(sequence.record_id, sequence.prompt_rows());
    sequence.recording = Sequence::Recording::kSealed;
    KILL_POINT("server.record_sealed");
    ++requests_recorded_;
  } else {
    ++requests_unrecorded_;
  }
}

void Batcher::TakeToken(Sequence& sequence, const float* logits) {
  const ModelConfig& config = parts_.model->config();
  const absl::Span<const float> row(logits, config.vocab);
  const int64_t position = sequence.prompt_rows() + static_cast<int64_t>(sequence.output.size());
  const int32_t token =
      SampleToken(row, sequence.request.sampling, UniformAt(sequence.request.seed, position));
  sequence.output.push_back(token);
  sequence.log_probs.push_back(static_cast<float>(LogSoftmaxAt(row, token)));
  const bool eos =
      std::find(config.eos_ids.begin(), config.eos_ids.end(), token) != config.eos_ids.end();
  CompletionChunk chunk;
  chunk.token_ids = {token};
  if (sequence.request.logprobs) chunk.logprobs = {sequence.log_probs.back()};
  if (!eos) chunk.text = sequence.text.Push(token);
  const bool stopped = sequence.text.stopped();
  const bool full = static_cast<int64_t>(sequence.output.size()) == sequence.request.max_tokens;
  const bool ends = eos || stopped || full;
  if (ends) chunk.text += sequence.text.Finish();
  // Room was seen when the step was planned, and nobody else pushes; only a call that is gone
  // refuses.
  CHECK(sequence.stream->events.TryPush(std::move(chunk)) || sequence.stream->events.closed());
  if (!ends) return;
  Finish(sequence, eos       ? FinishReason::kEos
                   : stopped ? FinishReason::kStop
                             : FinishReason::kLength);
}

void Batcher::Finish(Sequence& sequence, FinishReason reason) {
  CompletionEnd end;
  end.completion_id = MintCompletionId();
  end.revision = sequence.revision->id;
  end.prompt_tokens = sequence.prompt_rows();
  end.completion_tokens = static_cast<int64_t>(sequence.output.size());
  end.finish_reason = reason;
  end.recorded = sequence.recording == Sequence::Recording::kSealed;
  FinishedCompletion finished;
  finished.record_id = end.recorded ? sequence.record_id : 0;
  CompletionRow& row = finished.row;
  row.completion_id = end.completion_id;
  row.base = {parts_.model->base_digest(), parts_.tokenizer->digest()};
  row.revision = sequence.revision->id;
  row.prompt_tokens = sequence.request.prompt_tokens;
  row.response_tokens = std::move(sequence.output);
  row.log_probs = std::move(sequence.log_probs);
  row.finish_reason = reason;
  row.created_unix_us = parts_.clock->WallUs();
  EndRecord(sequence);
  sequence.finished = true;
  parts_.on_finished(std::move(finished));
  sequence.stream->events.TryPush(std::move(end));
}

void Batcher::EndRecord(Sequence& sequence) {
  switch (sequence.recording) {
    case Sequence::Recording::kNone:
      break;
    case Sequence::Recording::kFilling:
    case Sequence::Recording::kAbandoned:
      parts_.store->Abort(sequence.record_id);
      break;
    case Sequence::Recording::kSealed:
      parts_.store->Unpin(sequence.record_id);
      break;
  }
  sequence.recording = Sequence::Recording::kNone;
}

void Batcher::RemoveFinished() {
  std::erase_if(running_, [](const auto& sequence) { return sequence->finished; });
}

void Batcher::FailAll(const absl::Status& status) {
  CompletionEnd end;
  end.status = status;
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    EndRecord(*sequence);
    sequence->stream->events.TryPush(end);
  }
  for (const std::unique_ptr<Sequence>& sequence : waiting_) {
    sequence->stream->events.TryPush(end);
  }
  running_.clear();
  waiting_.clear();
}

}  // namespace alchemist
