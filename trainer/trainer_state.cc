#include "trainer/trainer_state.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int kCheckpointsKept = 3;

}  // namespace

absl::StatusOr<std::unique_ptr<TrainerState>> TrainerState::Open(
    const std::string& directory, const OptimizerOptions& options, const Model& model,
    const std::string& tokenizer_digest) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return absl::UnavailableError(absl::StrCat(directory, ": ", error.message()));
  std::unique_ptr<TrainerState> state(new TrainerState(directory, options));
  ASSIGN_OR_RETURN(std::optional<Checkpoint> checkpoint,
                   LoadNewestCheckpoint(directory, model, tokenizer_digest));
  if (!checkpoint.has_value()) return state;
  CheckpointState& saved = checkpoint->state;
  state->checkpoint_digest_ = checkpoint->adapter->digest();
  state->optimizer_ = std::make_unique<Optimizer>(
      options, std::move(checkpoint->adapter), *std::move(checkpoint->first_moment),
      *std::move(checkpoint->second_moment), saved.optimizer_steps);
  state->drift_ =
      Drift::Restore(saved.drift_path, saved.adapter_norm, std::move(saved.drift_marks));
  for (const auto& [id, count] : saved.passes) state->passes_.Set(id, count);
  state->passes_.TakeChanged();
  state->lineage_ = std::move(saved.lineage);
  state->checkpoint_lineage_ = state->lineage_;
  state->parent_ = saved.parent;
  state->step_ = saved.step;
  state->has_checkpoint_ = true;
  LOG(INFO) << "going on from the checkpoint of step " << saved.step;
  return state;
}

void TrainerState::Adopt(const RevisionName& revision, std::unique_ptr<LoraAdapter> adapter) {
  optimizer_ = std::make_unique<Optimizer>(options_, std::move(adapter));
  drift_ = Drift::Restore(0, optimizer_->AdapterNorm(), {});
  drift_.Mark(revision.digest);
  lineage_.clear();
  parent_ = revision.number;
  has_checkpoint_ = false;
}

// `lineage` is a copy: callers hand in lineage() itself, which changes here.
void TrainerState::OnPublished(const RevisionName& revision,
                               std::map<std::string, int64_t> lineage) {
  parent_ = revision.number;
  for (const auto& [id, passes] : lineage) {
    const auto it = lineage_.find(id);
    if (it == lineage_.end()) continue;
    it->second -= passes;
    if (it->second <= 0) lineage_.erase(it);
  }
}

Optimizer::Update TrainerState::Step(AdapterGradients& ascent, Stream& stream) {
  const Optimizer::Update update = optimizer_->Apply(ascent, stream);
  if (!update.applied) return update;
  drift_.OnUpdate(update.update_norm, update.adapter_norm);
  ++step_;
  has_checkpoint_ = false;
  return update;
}

void TrainerState::AddPass(const std::string& feedback_id, bool done) {
  PassCount count = passes_.Get(feedback_id);
  ++count.passes;
  count.done = done;
  passes_.Set(feedback_id, count);
  ++lineage_[feedback_id];
}

void TrainerState::MarkDone(const std::string& feedback_id) {
  PassCount count = passes_.Get(feedback_id);
  count.done = true;
  passes_.Set(feedback_id, count);
  has_checkpoint_ = false;
}

void TrainerState::Quarantine(const std::string& feedback_id) {
  passes_.Set(feedback_id, {passes_.Get(feedback_id).passes, /*done=*/true, /*quarantined=*/true});
  has_checkpoint_ = false;
}

void TrainerState::RaisePasses(const std::string& feedback_id, int64_t passes) {
  PassCount count = passes_.Get(feedback_id);
  if (count.passes >= passes) return;
  count.passes = passes;
  passes_.Set(feedback_id, count);
}

std::shared_ptr<const LoraAdapter> TrainerState::Snapshot() const {
  std::unique_ptr<LoraAdapter> copy = optimizer_->adapter().Clone();
  copy->UpdateDigest();
  return copy;
}

absl::Status TrainerState::Save(const LoraAdapter& snapshot, const Model& model,
                                const std::string& tokenizer_digest) {
  drift_.Mark(snapshot.digest());
  CheckpointState state;
  state.step = step_;
  state.optimizer_steps = optimizer_->steps();
  state.parent = parent_;
  state.base_digest = model.base_digest();
  state.tokenizer_digest = tokenizer_digest;
  state.passes = passes_.counts();
  state.lineage = lineage_;
  state.drift_path = drift_.path();
  state.adapter_norm = drift_.adapter_norm();
  state.drift_marks = drift_.marks();
  RETURN_IF_ERROR(SaveCheckpoint(directory_, state, snapshot, optimizer_->first_moment(),
                                 optimizer_->second_moment(), model, kCheckpointsKept));
  has_checkpoint_ = true;
  checkpoint_digest_ = snapshot.digest();
  checkpoint_lineage_ = lineage_;
  return absl::OkStatus();
}

}  // namespace alchemist
