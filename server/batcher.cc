#include "server/batcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/matmul.h"
#include "model/config.h"
#include "model/linear.h"

namespace alchemist {
namespace {

KvGeometry GeometryOf(const ActivationLayout& layout) {
  return {layout.layers(), layout.kv_width(), layout.dtype()};
}

// A multiply-add of attention takes about twice as long as one of a linear (measured on two cores
// with AVX-512 BF16 at 16 rows).
constexpr double kAttentionTime = 2;

// SchedulerLimits::prompt_key_cost: what attention adds for each key to the linears of a row.
double PromptKeyCost(const ModelConfig& config) {
  double linears = 0;
  for (const Linear linear : kLinears) {
    const MatmulShape shape = LinearShape(config, linear);
    linears += static_cast<double>(shape.in) * static_cast<double>(shape.out);
  }
  return kAttentionTime * 2 * static_cast<double>(config.heads * config.head_dim) / linears;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Batcher>> Batcher::Create(BatcherOptions options, Parts parts,
                                                         Device& device) {
  options.scheduler.prompt_key_cost = PromptKeyCost(parts.model->config());
  std::unique_ptr<Batcher> batcher(new Batcher(options, std::move(parts)));
  const Model& model = *batcher->parts_.model;
  const int64_t rows_max =
      std::max(options.scheduler.rows_per_step, options.running_max + kResumeRowsMax);
  ASSIGN_OR_RETURN(batcher->scratch_, ForwardScratch::Create(model, rows_max, device));
  const int64_t logits_bytes = std::max(options.running_max, kScoredRowsMax) *
                               model.config().vocab * BytesPerElement(DType::kF32);
  ASSIGN_OR_RETURN(batcher->logits_, device.Allocate(logits_bytes));
  return batcher;
}

absl::Status Batcher::Add(CompletionRequest request, std::shared_ptr<CompletionStream> stream) {
  if (const absl::Status status = MakeRoomFor(request); !status.ok()) {
    log_.Refused(request, status);
    return status;
  }
  stream->Push(CompletionStarted{request.request_id});
  const std::string tenant = request.tenant;
  const int32_t priority = request.priority;
  SequencePtr sequence = MakeSequence(std::move(request), std::move(stream));
  sequence->queued_us = parts_.clock->MonotonicUs();
  waiting_.Push(tenant, priority, std::move(sequence));
  return absl::OkStatus();
}

absl::Status Batcher::MakeRoomFor(const CompletionRequest& request) {
  if (draining_) return absl::UnavailableError("the server is stopping");
  const int64_t tokens = static_cast<int64_t>(request.prompt_tokens.size()) + request.max_tokens;
  if (tokens > tokens_max()) {
    return absl::InvalidArgumentError(absl::StrCat("prompt and max_tokens: ", tokens,
                                                   " tokens, the K/V pages hold ", tokens_max()));
  }
  return MakeRoom(request.tenant, request.choices);
}

std::unique_ptr<Sequence> Batcher::MakeSequence(CompletionRequest request,
                                                std::shared_ptr<CompletionStream> stream) const {
  return std::make_unique<Sequence>(std::move(request), std::move(stream), parts_.tokenizer,
                                    GeometryOf(*parts_.layout), parts_.store);
}

// Every choice takes a place of the queue, whether it waits already or is yet to be split off.
int64_t Batcher::PlacesTaken() const {
  int64_t places = 0;
  waiting_.ForEach([&](const SequencePtr& sequence) {
    places += sequence->was_admitted || sequence->choice > 0 ? 1 : sequence->request.choices;
  });
  return places + static_cast<int64_t>(set_aside_.size());
}

absl::Status Batcher::MakeRoom(const std::string& tenant, int64_t choices) {
  const auto has_room = [&] { return PlacesTaken() + choices <= options_.waiting_max; };
  // Who does not read makes room for who does.
  while (!has_room() && DropSetAside()) {
  }
  if (waiting() == 0 || has_room()) return absl::OkStatus();
  ++counters_.refused;
  const absl::Status full =
      WithRetryPushback(absl::ResourceExhaustedError(absl::StrCat(
                            "the queue is full: ", PlacesTaken(), " of ", options_.waiting_max,
                            " places are taken, the request wants ", choices)),
                        pace_.PushbackMs(waiting(), parts_.clock->MonotonicUs()));
  if (choices > 1) return full;  // One place is all that a refused request is sure to make.
  const std::optional<SequencePtr> refused = waiting_.TakeFromLongest(tenant);
  if (!refused.has_value()) return full;
  Fail(**refused, full);
  return absl::OkStatus();
}

std::vector<std::string> Batcher::Abort(const std::set<std::string>& request_ids,
                                        const std::string& tenant) {
  std::set<std::string> aborted;  // Several choices are one request.
  const auto abort = [&](const SequencePtr& sequence) {
    const CompletionRequest& request = sequence->request;
    if (sequence->finished || request.tenant != tenant) return;
    if (!request_ids.contains(request.request_id)) return;
    sequence->aborted = true;
    aborted.insert(request.request_id);
  };
  for (const SequencePtr& sequence : running_) abort(sequence);
  for (const SequencePtr& sequence : set_aside_) abort(sequence);
  waiting_.ForEach(abort);
  return {aborted.begin(), aborted.end()};
}

void Batcher::Admit() {
  while (const SequencePtr* const next = waiting_.Front()) {
    if (running() >= options_.running_max || !Start(**next)) {
      if (SetAsideUnread()) continue;
      return;  // Nobody overtakes a large request.
    }
    running_.push_back(waiting_.Pop());
    OnAdmitted(*running_.back());
    if (waiting() == 0) pace_.OnEmpty();
  }
}

// Its prompt is charged at once, so that of two tenants with full queues none is given all places;
// what is run again after a preemption is not.
void Batcher::OnAdmitted(Sequence& sequence) {
  if (std::exchange(sequence.was_admitted, true)) return;
  waiting_.Charge(sequence.request.tenant, sequence.prompt_rows_left());
  pace_.OnTaken(parts_.clock->MonotonicUs());
}

bool Batcher::Start(Sequence& sequence) {
  const bool first = sequence.revision == nullptr;
  const bool may_record = first && MayRecord(sequence);
  if (!Fits(sequence, may_record ? sequence.prompt_rows() : sequence.kv.record_tokens())) {
    return false;
  }
  if (first) {
    sequence.revision = parts_.pin(sequence.request);
    FindPrefix(sequence);
    if (may_record && BeginRecord(sequence)) {
      sequence.kv.UseRecord(sequence.record_id, sequence.prompt_rows());
    } else if (may_record && !Fits(sequence, sequence.prefix.tokens)) {
      sequence.record_refused = true;  // Nothing is evicted for it again.
      sequence.revision = nullptr;     // Its turn is later, and so is what it runs at.
      return false;
    } else if (sequence.prefix.record_id != 0) {
      UsePrefix(sequence);
    }
    sequence.rows_done = sequence.prefix.tokens;
    counters_.prompt_tokens += sequence.prompt_rows();
    counters_.prefix_tokens += sequence.prefix.tokens;
  }
  CHECK(sequence.kv.Extend(sequence.tokens())) << "the forecast counts what is known";
  return true;
}

bool Batcher::MayRecord(const Sequence& sequence) const {
  return options_.record != RecordMode::kOff && !sequence.request.no_train &&
         !sequence.request.prompt_logprobs.has_value() && !sequence.record_refused;
}

bool Batcher::Fits(const Sequence& sequence, int64_t record_tokens) const {
  std::vector<KvGrowth> growths = {GrowthOf(sequence, record_tokens)};
  for (const SequencePtr& each : running_) {
    growths.push_back(GrowthOf(*each, each->kv.record_tokens()));
  }
  return PeakKvPages(growths) <= pages_total();
}

KvGrowth Batcher::GrowthOf(const Sequence& sequence, int64_t record_tokens) const {
  const int64_t output = static_cast<int64_t>(sequence.output.size());
  const CompletionRequest& request = sequence.request;
  const bool to_the_end =
      request.ignore_eos && request.stop.empty() && request.stop_token_ids.empty();
  const int64_t ends_at =
      to_the_end ? request.max_tokens
                 : std::max(request.min_tokens, lengths_.Forecast(output, request.max_tokens));
  return {.tokens = sequence.tokens(),
          .tokens_more = ends_at - output,
          .pages_recorded = record_tokens / kKvPageTokens};
}

RecordIdentity Batcher::IdentityOf(const Sequence& sequence) const {
  const RevisionId& revision = sequence.revision->id;
  RecordIdentity identity;
  identity.tenant = sequence.request.tenant;
  identity.base_digest = parts_.model->base_digest();
  identity.tokenizer_digest = parts_.tokenizer->digest();
  identity.adapter_id = revision.adapter_id;
  identity.revision = static_cast<uint64_t>(revision.number);
  identity.revision_digest = revision.digest;
  return identity;
}

// The last prompt token is always run: it is what the answer's first token is sampled from.
void Batcher::FindPrefix(Sequence& sequence) const {
  if (options_.record == RecordMode::kOff) return;  // There is nothing to be found.
  sequence.hashes = HashBlocks(IdentityOf(sequence), sequence.request.prompt_tokens);
  if (!options_.prefix_cache || sequence.request.prompt_logprobs.has_value()) return;
  const int64_t blocks = (sequence.prompt_rows() - 1) / kHashBlockTokens;
  sequence.prefix = parts_.store->FindPrefix(absl::MakeConstSpan(sequence.hashes).first(blocks));
}

// Nothing is evicted for a record that there cannot be room for.
bool Batcher::BeginRecord(Sequence& sequence) {
  ActivationStore& store = *parts_.store;
  sequence.record_id =
      store.Begin(IdentityOf(sequence), sequence.prefix, parts_.clock->MonotonicUs());
  if (!store.CouldRecord(sequence.record_id, sequence.prompt_rows()) ||
      !store.AppendKvPages(sequence.record_id, sequence.prompt_rows())) {
    store.Abort(sequence.record_id);
    return false;
  }
  sequence.recording = Sequence::Recording::kFilling;
  return true;
}

// Without a record of its own it reads another's.
void Batcher::UsePrefix(Sequence& sequence) {
  parts_.store->Pin(sequence.prefix.record_id, parts_.clock->MonotonicUs());
  sequence.prefix_pinned = true;
  sequence.kv.UseRecord(sequence.prefix.record_id, sequence.prefix.tokens);
  sequence.kv.SealRecord();
}

// Its serving pages: what they hold is run again when its turn comes.
void Batcher::GiveBack(Sequence& sequence) {
  sequence.kv.DropServingPages();
  sequence.rows_done = std::min(sequence.rows_done, sequence.kv.record_tokens());
  ++sequence.preemptions;
  ++counters_.preempted;
  log_.Preempted(sequence);
}

void Batcher::Preempt(const std::vector<int64_t>& sequences) {
  for (const int64_t index : sequences) {
    SequencePtr& sequence = running_[index];
    GiveBack(*sequence);
    const CompletionRequest& request = sequence->request;
    waiting_.Return(request.tenant, request.priority, std::move(sequence));
  }
  std::erase(running_, nullptr);
}

void Batcher::Fail(Sequence& sequence, const absl::Status& status) {
  log_.Ended(sequence, status);
  EndRecord(sequence);
  CompletionEnd end;
  end.status = status;
  PushEnd(sequence, std::move(end));
}

void Batcher::EndRecord(Sequence& sequence) {
  responses_.Abort(sequence);
  switch (sequence.recording) {
    case Sequence::Recording::kNone:
      break;
    case Sequence::Recording::kFilling:
    case Sequence::Recording::kAbandoned:
      parts_.store->Abort(sequence.record_id);
      break;
    case Sequence::Recording::kSealed:
      parts_.store->Unpin(sequence.record_id, parts_.clock->MonotonicUs());
      break;
  }
  sequence.recording = Sequence::Recording::kNone;
  if (std::exchange(sequence.prefix_pinned, false)) {
    parts_.store->Unpin(sequence.prefix.record_id, parts_.clock->MonotonicUs());
  }
}

void Batcher::RemoveFinished() {
  for (SequencePtr& sequence : running_) {
    if (!sequence->finished) continue;
    waiting_.Done(sequence->request.tenant);
    sequence.reset();
  }
  std::erase(running_, nullptr);
}

StepPlan Batcher::Plan() const {
  std::vector<RunningSequence> running;
  bool scores = false;  // One prompt at a time, as many rows as there is room for logits.
  for (const SequencePtr& sequence : running_) {
    const bool decodes = sequence->prompt_rows_left() == 0;
    running.push_back({.prompt_rows_left = sequence->prompt_rows_left(),
                       .decode_rows_left = decodes ? sequence->rows_left() : 0,
                       .has_room = sequence->stream->HasRoom(),
                       .first_position = sequence->rows_done,
                       .kv_pages = sequence->kv.pages(),
                       .serving_pages = sequence->kv.serving_pages(),
                       .tenant = sequence->request.tenant,
                       .priority = sequence->request.priority});
    if (!sequence->wants_scores()) continue;
    running.back().prompt_rows_max = std::exchange(scores, true) ? 0 : kScoredRowsMax;
  }
  return PlanStep(options_.scheduler, pages_free(), running);
}

bool Batcher::RunStep() {
  DropGone();
  TakeBackRead();
  Admit();
  const StepPlan plan = Plan();
  if (plan.empty()) return false;
  RunPlan(plan);
  RemoveFinished();
  return true;
}

void Batcher::FailAll(const absl::Status& status) {
  for (const SequencePtr& sequence : running_) {
    Fail(*sequence, status);
    sequence->finished = true;
  }
  RemoveFinished();
  for (const SequencePtr& sequence : set_aside_) {
    Fail(*sequence, status);
    waiting_.Done(sequence->request.tenant);
  }
  set_aside_.clear();
  waiting_.RemoveIf([&](const SequencePtr& sequence) {
    Fail(*sequence, status);
    return true;
  });
}

std::string Batcher::Inspect() const {
  std::string text;
  const int64_t now_us = parts_.clock->MonotonicUs();
  const auto add = [&](const char* state, const Sequence& sequence) {
    const CompletionRequest& request = sequence.request;
    absl::StrAppend(&text, state, " ", request.request_id, " tenant \"", request.tenant,
                    "\" choice ", sequence.choice, " priority ", request.priority, " prompt ",
                    sequence.prompt_rows(), " answer ", sequence.output.size(), " of ",
                    request.max_tokens, " rows done ", sequence.rows_done, " K/V pages ",
                    sequence.kv.serving_pages(), " preemptions ", sequence.preemptions, " age ",
                    (now_us - sequence.queued_us) / 1000, " ms\n");
  };
  for (const SequencePtr& sequence : running_) add("running", *sequence);
  for (const SequencePtr& sequence : set_aside_) add("unread", *sequence);
  waiting_.ForEach([&](const SequencePtr& sequence) { add("waiting", *sequence); });
  return text;
}

void Batcher::CheckInvariants() const {
  int64_t pages = 0;
  for (const SequencePtr& sequence : running_) {
    pages += sequence->kv.serving_pages();
    CHECK_LE(sequence->rows_done,
             std::max(sequence->kv.pages() * kKvPageTokens, sequence->kv.record_tokens()));
    CHECK_GT(sequence->rows_left(), 0) << "nothing to run, and not ended";
  }
  const ActivationStore& store = *parts_.store;
  CHECK_EQ(pages * parts_.layout->layers(),
           store.serving_kv_pages() - store.serving_kv_pages_free())
      << "every page that is lent belongs to one that runs";
  CHECK_LE(running(), options_.running_max);
  CHECK(running() + waiting() > 0 || waiting_.tenants() == 0) << "an idle tenant is remembered";
  const auto holds_none = [](const SequencePtr& sequence) {
    CHECK_EQ(sequence->kv.serving_pages(), 0) << "who waits holds no serving pages";
  };
  waiting_.ForEach(holds_none);
  for (const SequencePtr& sequence : set_aside_) holds_none(sequence);
  parts_.store->CheckInvariants();
}

}  // namespace alchemist
