#include "trainer/trainer_loop.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kWelcomeTimeoutUs = 30'000'000;
constexpr int64_t kPublishResultTimeoutUs = 5'000'000;

RevisionName NameOf(const v1::Revision& revision) {
  return {revision.adapter_id(), revision.number(), revision.digest()};
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainerLoop>> TrainerLoop::Create(const TrainerOptions& options,
                                                                 Parts parts) {
  std::unique_ptr<TrainerLoop> loop(new TrainerLoop(options, parts));
  const std::optional<v1::ServerMessage> welcome = parts.link->Receive(kWelcomeTimeoutUs);
  if (!welcome.has_value() || !welcome->has_welcome()) {
    return parts.link->ended() ? parts.link->Finish()
                               : absl::UnavailableError("link: the server sent no welcome");
  }
  RETURN_IF_ERROR(loop->Begin(welcome->welcome()));
  return loop;
}

absl::Status TrainerLoop::Begin(const v1::Welcome& welcome) {
  const Model& model = parts_.attachment->model();
  TrainerState& state = *parts_.state;
  if (welcome.base().base_digest() != model.base_digest()) {
    return absl::FailedPreconditionError("welcome: another base model than at attach");
  }
  base_ = welcome.base();
  incoming_dir_ = welcome.incoming_dir();
  paused_ = welcome.training_paused();
  revisions_ = std::make_unique<RevisionCache>(welcome.revisions_dir(), &model.config());
  const RevisionName serving = NameOf(welcome.serving());
  published_digest_ = serving.digest;
  if (!state.has_adapter() || welcome.adopt_serving()) {
    RETURN_IF_ERROR(OnRollback(welcome.serving()));
  } else if (serving.number != state.parent()) {
    // Our last publish was accepted and we did not hear of it. Passes made since then stay.
    state.OnPublished(serving, state.checkpoint_lineage());
  }
  current_ = state.Snapshot();
  gradients_ = std::make_unique<AdapterGradients>(*current_);
  ASSIGN_OR_RETURN(training_step_,
                   TrainingStep::Create(&model, &parts_.attachment->layout(), options_.forward_rows,
                                        &step_memory_, parts_.stream));
  last_publish_us_ = parts_.clock->MonotonicUs();
  unpublished_ = !state.lineage().empty();
  return absl::OkStatus();
}

absl::Status TrainerLoop::RunOnce(int64_t wait_us) {
  RequestItems();
  if (paused_ || pool_.size() == 0) step_memory_.GiveBack();
  const bool idle = !StepIsDue() || !ReplayIsReady();
  const int64_t timeout_us = idle && !PublishIsDue() ? wait_us : 0;
  std::optional<v1::ServerMessage> message = parts_.link->Receive(timeout_us);
  while (message.has_value()) {
    RETURN_IF_ERROR(Handle(*message));
    message = parts_.link->Receive(0);
  }
  if (parts_.link->ended()) return absl::UnavailableError("link: the stream ended");
  if (PublishIsDue()) RETURN_IF_ERROR(Publish());
  if (!StepIsDue() || !ReplayIsReady()) return absl::OkStatus();
  return Step();
}

absl::Status TrainerLoop::Handle(const v1::ServerMessage& message) {
  switch (message.message_case()) {
    case v1::ServerMessage::kItem:
      --items_requested_;
      return OnItem(message.item());
    case v1::ServerMessage::kReplayBatch:
      OnReplayBatch(message.replay_batch());
      return absl::OkStatus();
    case v1::ServerMessage::kPublishResult:
      return OnPublishResult(message.publish_result());
    case v1::ServerMessage::kRollback:
      LOG(INFO) << "the server rolled back to revision " << message.rollback().revision().number();
      return OnRollback(message.rollback().revision());
    case v1::ServerMessage::kControl:
      paused_ = message.control().paused();
      if (paused_ && replay_arrived_) DropReplay();
      return absl::OkStatus();
    case v1::ServerMessage::kRevoke:
    case v1::ServerMessage::kResidencyUpdate:
      return absl::UnimplementedError("link: this trainer holds no revocable leases");
    default:
      return absl::InvalidArgumentError("link: an unknown message");
  }
}

PooledItem TrainerLoop::PooledItemOf(TrainingItem item, const v1::FeedbackItem& message) const {
  PooledItem pooled;
  pooled.item = std::move(item);
  if (message.has_record()) pooled.lease = DescriptorOf(message.record());
  return pooled;
}

absl::Status TrainerLoop::OnItem(const v1::FeedbackItem& message) {
  ASSIGN_OR_RETURN(TrainingItem item,
                   ParseItem(message, parts_.attachment->model().config(), base_));
  KILL_POINT("trainer.item_received");
  const std::string id = item.item_id;
  PooledItem pooled = PooledItemOf(std::move(item), message);
  parts_.state->RaisePasses(id, static_cast<int64_t>(message.passes_done()));
  const PassCount count = parts_.state->pass_book().Get(id);
  pooled.passes = count.passes;
  if (count.done || count.passes >= options_.passes_max) {
    ReleaseAll(pooled);
    parts_.state->MarkDone(id);
    unpublished_ = true;  // The next progress tells the server.
    return absl::OkStatus();
  }
  std::vector<PooledItem> superseded;
  std::optional<RecordDescriptor> lease = pooled.lease;
  if (!pool_.Add(std::move(pooled), &superseded)) {
    PooledItem twice;
    twice.lease = std::move(lease);
    ReleaseAll(twice);
  }
  for (PooledItem& item : superseded) {
    LOG(INFO) << ItemLogId(item.item) << " is superseded by feedback " << id;
    ReleaseAll(item);
    parts_.state->MarkDone(item.item.item_id);
  }
  return absl::OkStatus();
}

void TrainerLoop::OnReplayBatch(const v1::ReplayBatch& batch) {
  replay_arrived_ = true;
  for (const v1::FeedbackItem& message : batch.items()) {
    absl::StatusOr<TrainingItem> item =
        ParseItem(message, parts_.attachment->model().config(), base_);
    if (!item.ok()) {
      LOG(WARNING) << "replayed completion " << message.completion_id() << ": " << item.status();
      PooledItem refused = PooledItemOf(TrainingItem(), message);
      ReleaseAll(refused);
      continue;
    }
    PooledItem pooled = PooledItemOf(*std::move(item), message);
    if (refused_replay_.contains(pooled.item.item_id)) {
      ReleaseAll(pooled);
      continue;
    }
    replay_.push_back(std::move(pooled));
  }
  if (paused_) DropReplay();
}

// Gives their records back; the next step asks for others.
void TrainerLoop::DropReplay() {
  for (PooledItem& item : replay_) ReleaseAll(item);
  replay_.clear();
  replay_requested_ = false;
  replay_arrived_ = false;
}

void TrainerLoop::RequestItems() {
  const int64_t room = options_.items_ahead - pool_.size() - items_requested_;
  // In larger pieces: half of what may be held.
  if (room >= std::max<int64_t>(1, options_.items_ahead / 2)) {
    v1::TrainerMessage message;
    message.mutable_item_request()->set_feedback_items(room);
    if (parts_.link->Send(std::move(message))) items_requested_ += room;
  }
}

bool TrainerLoop::StepIsDue() const {
  const int64_t now_us = parts_.clock->MonotonicUs();
  const ItemPool::Due due = pool_.DueAt(options_.batch, now_us);
  return !paused_ && BatchIsDue(options_.batch, due.items, due.tokens, now_us - last_step_us_);
}

// Asks for what joins the next batch. An answer is bounded in time, so that a server without any
// never holds training up.
bool TrainerLoop::ReplayIsReady() {
  if (replay_arrived_) return true;
  const int64_t now_us = parts_.clock->MonotonicUs();
  if (replay_requested_) return now_us >= replay_deadline_us_;
  const std::vector<PooledItem*> batch = pool_.NextBatch(options_.batch, now_us);
  if (batch[0]->alone) return true;  // It runs without.
  v1::TrainerMessage message;
  v1::ItemRequest& request = *message.mutable_item_request();
  request.set_replay_items(ReplayToAsk(options_.batch, static_cast<int64_t>(batch.size())));
  // At 0 a record is out of date after the first update.
  request.set_replay_records(options_.repeat_drift_max > 0);
  parts_.link->Send(std::move(message));
  replay_requested_ = true;
  replay_deadline_us_ = now_us + options_.replay_wait_us;
  return false;
}

void TrainerLoop::ReleaseAll(PooledItem& item) {
  if (!item.lease.has_value()) return;
  v1::TrainerMessage message;
  v1::Release& release = *message.mutable_release();
  release.set_lease_id(item.lease->lease_id);
  release.set_layers(parts_.attachment->layout().layers() + 1);
  parts_.link->Send(std::move(message));
  item.lease.reset();
}

bool TrainerLoop::PublishIsDue() const {
  return unpublished_ && !publishing_.has_value() && !paused_ &&
         parts_.clock->MonotonicUs() - last_publish_us_ >= options_.publish_interval_us;
}

absl::Status TrainerLoop::SaveState() {
  TrainerState& state = *parts_.state;
  if (state.has_checkpoint() || !state.has_adapter()) return absl::OkStatus();
  const std::shared_ptr<const LoraAdapter> snapshot = state.Snapshot();
  RETURN_IF_ERROR(
      state.Save(*snapshot, parts_.attachment->model(), parts_.attachment->tokenizer_digest()));
  v1::TrainerMessage message;
  v1::Progress& progress = *message.mutable_progress();
  progress.set_step(state.step());
  for (const auto& [id, count] : state.pass_book().TakeChanged()) {
    v1::FeedbackPassCount& entry = *progress.add_passes();
    entry.set_feedback_id(id);
    entry.set_passes(count.passes);
    entry.set_done(count.done);
    entry.set_quarantined(count.quarantined);
  }
  *progress.mutable_tokens() = tokens_;
  tokens_.Clear();
  progress.set_loss(last_loss_);
  progress.set_update_norm(last_update_norm_);
  for (const std::string& id : record_reused_) progress.add_record_reused(id);
  record_reused_.clear();
  parts_.link->Send(std::move(message));
  return absl::OkStatus();
}

// The checkpoint first: what is published is always what the trainer would come back with.
absl::Status TrainerLoop::Publish() {
  TrainerState& state = *parts_.state;
  RETURN_IF_ERROR(SaveState());
  KILL_POINT("trainer.checkpointed");
  PendingPublish publish;
  publish.request_id = next_request_id_++;
  publish.adapter = state.Snapshot();
  publish.lineage = state.lineage();
  last_publish_us_ = parts_.clock->MonotonicUs();
  if (publish.adapter->digest() == published_digest_) {
    unpublished_ = false;  // Only the books changed.
    return absl::OkStatus();
  }
  const std::string name = absl::StrCat(
      "session-", parts_.attachment->reader().info().session_epoch, "-", publish.request_id);
  const std::string directory = absl::StrCat(incoming_dir_, "/", name);
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  RETURN_IF_ERROR(publish.adapter->Save(directory, parts_.attachment->model().directory()));
  KILL_POINT("trainer.candidate_written");
  v1::TrainerMessage message;
  v1::Publish& announced = *message.mutable_publish();
  announced.set_request_id(publish.request_id);
  announced.set_directory(name);
  announced.set_parent(state.parent());
  announced.set_digest(publish.adapter->digest());
  announced.set_step(state.step());
  for (const auto& [id, passes] : publish.lineage) {
    v1::FeedbackPassCount& entry = *announced.add_lineage();
    entry.set_feedback_id(id);
    entry.set_passes(passes);
  }
  for (const auto& [id, count] : state.pass_book().counts()) {
    if (!count.done || count.quarantined) continue;
    v1::FeedbackPassCount& entry = *announced.add_settled();
    entry.set_feedback_id(id);
    entry.set_passes(count.passes);
    entry.set_done(true);
    publish.settled.push_back(id);
  }
  parts_.link->Send(std::move(message));
  KILL_POINT("trainer.published");
  publishing_ = std::move(publish);
  unpublished_ = false;
  return absl::OkStatus();
}

absl::Status TrainerLoop::Finish() {
  const int64_t deadline_us = parts_.clock->MonotonicUs() + kPublishResultTimeoutUs;
  while (publishing_.has_value() && !parts_.link->ended() &&
         parts_.clock->MonotonicUs() < deadline_us) {
    const std::optional<v1::ServerMessage> message = parts_.link->Receive(/*timeout_us=*/20'000);
    if (message.has_value()) RETURN_IF_ERROR(Handle(*message));
  }
  // Without an answer the newest checkpoint is that of the candidate, and must stay the newest: the
  // next start tells by it whether the candidate was accepted.
  return publishing_.has_value() ? absl::OkStatus() : SaveState();
}

absl::Status TrainerLoop::OnPublishResult(const v1::PublishResult& result) {
  if (!publishing_.has_value() || result.request_id() != publishing_->request_id) {
    return absl::OkStatus();  // Of a publish that a rollback made void.
  }
  if (result.accepted()) {
    const RevisionName revision = NameOf(result.revision());
    LOG(INFO) << "publish " << result.request_id() << " is revision " << revision.number;
    parts_.state->OnPublished(revision, publishing_->lineage);
    parts_.state->pass_book().Forget(publishing_->settled);
    published_digest_ = revision.digest;
    revisions_->Add(revision, publishing_->adapter);
    parts_.state->ForgetDriftBeyond(std::max(options_.drift_max, options_.repeat_drift_max));
    revisions_->KeepOnly(parts_.state->drift().marks());
    KILL_POINT("trainer.publish_accepted");
  } else {
    LOG(WARNING) << "publish " << result.request_id() << " on revision " << parts_.state->parent()
                 << " was refused: " << result.reason();
    unpublished_ = true;  // Again after the interval.
    std::error_code error;
    std::filesystem::remove_all(
        absl::StrCat(incoming_dir_, "/session-", parts_.attachment->reader().info().session_epoch,
                     "-", result.request_id()),
        error);
  }
  publishing_.reset();
  return absl::OkStatus();
}

absl::Status TrainerLoop::OnRollback(const v1::Revision& message) {
  const RevisionName revision = NameOf(message);
  ASSIGN_OR_RETURN(const std::shared_ptr<const LoraAdapter> adapter, revisions_->Get(revision));
  parts_.state->Adopt(revision, adapter->Clone());
  published_digest_ = revision.digest;
  current_ = parts_.state->Snapshot();
  for (auto& [id, item] : pool_.items()) item->kept.reset();
  if (replay_arrived_) DropReplay();  // It may bring what was rolled back.
  refused_replay_.clear();            // Other weights, another chance.
  publishing_.reset();
  unpublished_ = false;
  return SaveState();  // Coming back, the trainer must not go on from what was rolled back.
}

}  // namespace alchemist
