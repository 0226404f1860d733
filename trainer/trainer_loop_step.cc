// TrainerLoop's steps: from a batch to updated weights.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "trainer/gradient_dump.h"
#include "trainer/trainer_loop.h"

namespace alchemist {
namespace {

constexpr size_t kRefusedReplayMax = 1000;

}  // namespace

absl::Status TrainerLoop::Step() {
  std::vector<PooledItem*> batch = pool_.NextBatch(options_.batch, parts_.clock->MonotonicUs());
  const size_t feedback_items = batch.size();
  if (batch[0]->alone) return RunBatch(std::move(batch), feedback_items);
  std::vector<int64_t> tokens;
  for (const PooledItem& item : replay_) tokens.push_back(item.item.tokens());
  const int64_t taken = ReplayToTake(options_.batch, static_cast<int64_t>(feedback_items), tokens);
  for (int64_t i = 0; i < taken; ++i) batch.push_back(&replay_[i]);
  last_step_us_ = parts_.clock->MonotonicUs();
  const absl::Status status = RunBatch(std::move(batch), feedback_items);
  DropReplay();
  return status;
}

absl::Status TrainerLoop::RunBatch(std::vector<PooledItem*> batch, size_t feedback_items) {
  std::vector<Source> sources;
  for (PooledItem* item : batch) sources.push_back(SourceOf(*item));
  std::vector<StepItem> items;
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto& [adapter, record, response, served, beyond_drift] = sources[i];
    items.push_back({&batch[i]->item, adapter.get(), record.has_value() ? &*record : nullptr,
                     response.has_value() ? &*response : nullptr});
  }
  gradients_->SetZero();
  bool stale = false;
  KILL_POINT("trainer.step_begins");
  const absl::StatusOr<StepOutcome> outcome =
      training_step_->Run(items, gradients_.get(), [&](int64_t layer) {
        KILL_POINT("trainer.layer_done");
        ReleaseLayer(batch, sources, layer, stale);
      });
  if (!outcome.ok()) return outcome.status();
  // The backward pass ends at the lowest trained layer; of those below the responses' forward read
  // the K/V.
  const int64_t lowest = parts_.attachment->layout().lowest_trained_layer();
  for (int64_t layer = 0; layer < lowest; ++layer) ReleaseLayer(batch, sources, layer, stale);
  for (PooledItem* item : batch) ReleaseAll(*item);
  if (stale) {
    // I9: nothing computed from a lease that did not hold is committed. The items stay, without it.
    LOG(ERROR) << "a leased page changed under step " << parts_.state->step() + 1
               << ": it is dropped";
    return absl::OkStatus();
  }
  if (!options_.dump_gradients.empty()) RETURN_IF_ERROR(DumpStep(batch, sources));
  const Optimizer::Update update = parts_.state->Step(*gradients_, *parts_.stream);
  if (!update.applied) {
    OnNotFinite(batch, feedback_items, *outcome);
    return absl::OkStatus();
  }
  KILL_POINT("trainer.step_applied");
  current_ = parts_.state->Snapshot();
  last_loss_ = outcome->loss;
  last_update_norm_ = update.update_norm;
  KeepPrompts(batch, feedback_items, sources, *outcome);
  AfterPass(batch, feedback_items, sources, *outcome);
  unpublished_ = true;
  return absl::OkStatus();
}

// Each item of the batch is tried again alone, without replay and from its tokens only, so that the
// one whose own gradient is not finite ends and no other does. When replay is to blame the batch is
// tried again with other replay.
void TrainerLoop::OnNotFinite(const std::vector<PooledItem*>& batch, size_t feedback_items,
                              const StepOutcome& outcome) {
  LOG(ERROR) << "the gradient of " << batch.size() << " items is not finite: step "
             << parts_.state->step() + 1 << " is skipped";
  if (RefuseReplay(batch, feedback_items, outcome)) return;
  if (!batch[0]->alone) {
    for (size_t i = 0; i < feedback_items; ++i) {
      batch[i]->alone = true;
      batch[i]->kept.reset();
    }
    return;
  }
  const std::string id = batch[0]->item.item_id;
  LOG(ERROR)
      << ItemLogId(batch[0]->item)
      << " is quarantined: its own gradient is not finite at weights that go on from revision "
      << parts_.state->parent();
  parts_.state->Quarantine(id);
  pool_.Remove(id);
  unpublished_ = true;  // The next progress tells the server.
}

// Replayed items whose loss is not finite join no further batch of this session; false when there
// are none. None are blamed when the feedback's is not finite either: then it may be the weights.
bool TrainerLoop::RefuseReplay(const std::vector<PooledItem*>& batch, size_t feedback_items,
                               const StepOutcome& outcome) {
  std::vector<const TrainingItem*> culprits;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (std::isfinite(outcome.item_loss[i])) continue;
    if (i < feedback_items) return false;
    culprits.push_back(&batch[i]->item);
  }
  if (culprits.empty() || refused_replay_.size() + culprits.size() > kRefusedReplayMax) {
    return false;
  }
  for (const TrainingItem* item : culprits) {
    LOG(ERROR) << ItemLogId(*item) << " is left out: its loss is not finite";
    refused_replay_.insert(item->item_id);
  }
  return true;
}

// A record serves while the weights have not moved too far from those that made it; everything of
// the item is then computed at the record's revision. Otherwise the prompt is run at the current
// weights.
TrainerLoop::Source TrainerLoop::SourceOf(PooledItem& item) {
  Source source;
  source.adapter = current_;
  const Drift& drift = parts_.state->drift();
  if (item.kept.has_value()) {
    if (drift.Since(item.kept->path) <= options_.repeat_drift_max) {
      source.adapter = item.kept->adapter;
      source.record = ViewOwnRecord(*item.kept->own.record, item.kept->own.part);
      return source;
    }
    item.kept.reset();
  }
  if (!item.lease.has_value()) return source;
  const RevisionName revision = {item.lease->identity.adapter_id, item.lease->identity.revision,
                                 item.lease->identity.revision_digest};
  const bool first_pass = !item.item.replay && item.passes == 0;
  const double drift_max = first_pass ? options_.drift_max : options_.repeat_drift_max;
  if (drift.SinceRevision(revision.digest) > drift_max) {
    source.beyond_drift = true;
    ReleaseAll(item);
    return source;
  }
  absl::StatusOr<std::shared_ptr<const LoraAdapter>> adapter = revisions_->Get(revision);
  absl::StatusOr<ServedRecord> record =
      MapServedRecord(parts_.attachment->reader(), *item.lease, parts_.attachment->layout(),
                      item.item.prompt_rows(), item.item.response_rows());
  if (!adapter.ok() || !record.ok()) {
    LOG(ERROR) << ItemLogId(item.item) << ": record " << item.lease->record_id
               << " is not used: " << adapter.status() << " " << record.status();
    ReleaseAll(item);
    return source;
  }
  source.adapter = *std::move(adapter);
  source.record = std::move(record->prompt);
  source.response = std::move(record->response);
  source.served = true;
  return source;
}

void TrainerLoop::ReleaseLayer(const std::vector<PooledItem*>& batch,
                               const std::vector<Source>& sources, int64_t layer, bool& stale) {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!sources[i].served) continue;
    const RecordDescriptor& lease = *batch[i]->lease;
    const absl::Status status = parts_.attachment->reader().CheckGenerations(lease, layer);
    if (!status.ok()) {
      LOG(ERROR) << ItemLogId(batch[i]->item) << ": record " << lease.record_id << ": " << status;
      stale = true;
    }
    v1::TrainerMessage message;
    v1::Release& release = *message.mutable_release();
    release.set_lease_id(lease.lease_id);
    release.set_first_layer(layer);
    release.set_layers(1);
    parts_.link->Send(std::move(message));
  }
}

void TrainerLoop::AfterPass(const std::vector<PooledItem*>& batch, size_t feedback_items,
                            const std::vector<Source>& sources, const StepOutcome& outcome) {
  tokens_.set_response_run(tokens_.response_run() + outcome.response_rows_run);
  tokens_.set_response_reused(tokens_.response_reused() + outcome.response_rows_read);
  for (size_t i = 0; i < batch.size(); ++i) {
    PooledItem& item = *batch[i];
    Count(item, sources[i], outcome.own_prompts[i].record != nullptr);
    if (i >= feedback_items) continue;  // Replay counts no pass.
    const std::string id = item.item.item_id;
    if (sources[i].served && item.passes == 0) record_reused_.insert(id);
    pool_.Passed(item, parts_.clock->MonotonicUs());
    const bool done =
        item.passes >= options_.passes_max || outcome.item_loss[i] < options_.done_loss;
    VLOG(1) << ItemLogId(item.item) << " made pass " << item.passes << " at step "
            << parts_.state->step() << " on revision " << parts_.state->parent() << ", loss "
            << outcome.item_loss[i] << (sources[i].served ? ", over its record" : "")
            << (done ? ", and is done" : "");
    parts_.state->AddPass(id, done);
    if (done) pool_.Remove(id);
  }
}

// Prompt rows by where they came from. A prompt shared with an earlier item of the batch counts
// once.
void TrainerLoop::Count(const PooledItem& item, const Source& source, bool prompt_run) {
  if (!source.record.has_value() && !prompt_run) return;
  const int64_t rows = item.item.prompt_rows();
  v1::TokensRun& t = tokens_;
  if (item.item.replay) {
    if (source.record.has_value()) {
      t.set_replay_reused(t.replay_reused() + rows);
    } else {
      t.set_replay_recomputed(t.replay_recomputed() + rows);
    }
  } else if (item.passes == 0) {
    if (source.record.has_value()) {
      t.set_first_pass_prompt_reused(t.first_pass_prompt_reused() + rows);
    } else {
      t.set_first_pass_prompt_recomputed(t.first_pass_prompt_recomputed() + rows);
      if (source.beyond_drift) {
        t.set_first_pass_beyond_drift(t.first_pass_beyond_drift() + rows);
      }
    }
  } else if (source.record.has_value()) {
    t.set_later_pass_reused(t.later_pass_reused() + rows);
  } else {
    t.set_later_pass_recomputed(t.later_pass_recomputed() + rows);
  }
}

// Prompts run for feedback are kept for its next passes, within --own_record_bytes; who waited
// longest for its turn gives way first, since its record will be the oldest when its turn comes.
// Without any drift allowed none would be read again.
void TrainerLoop::KeepPrompts(const std::vector<PooledItem*>& batch, size_t feedback_items,
                              const std::vector<Source>& sources, const StepOutcome& outcome) {
  if (options_.repeat_drift_max <= 0) return;
  // The path before this step's update: the prompts were run at the weights before it.
  const double path = parts_.state->drift().path() - last_update_norm_;
  for (size_t i = 0; i < feedback_items; ++i) {
    if (outcome.own_prompts[i].record == nullptr) continue;
    batch[i]->kept = KeptPrompt{outcome.own_prompts[i], sources[i].adapter, path};
  }
  for (;;) {
    std::set<const OwnRecord*> records;
    int64_t bytes = 0;
    PooledItem* oldest = nullptr;
    for (auto& [id, item] : pool_.items()) {
      if (!item->kept.has_value()) continue;
      const OwnRecord* record = item->kept->own.record.get();
      if (records.insert(record).second) bytes += record->bytes();
      if (oldest == nullptr || item->turn < oldest->turn) oldest = item.get();
    }
    if (bytes <= options_.own_record_bytes || oldest == nullptr) return;
    oldest->kept.reset();
  }
}

absl::Status TrainerLoop::DumpStep(const std::vector<PooledItem*>& batch,
                                   const std::vector<Source>& sources) {
  std::vector<DumpedItem> items;
  for (size_t i = 0; i < batch.size(); ++i) {
    items.push_back({&batch[i]->item, sources[i].adapter.get()});
  }
  return DumpGradients(options_.dump_gradients, parts_.state->step() + 1, items, base_,
                       *gradients_);
}

}  // namespace alchemist
