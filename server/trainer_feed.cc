#include "server/trainer_feed.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "server/feedback_table.h"
#include "server/link_messages.h"

namespace alchemist {
namespace {

constexpr int64_t kFetchRetryUs = 1'000'000;  // After the log failed.
constexpr int64_t kFetchMax = 64;             // Items of one read of the log.
constexpr int64_t kReplayPerCorrection = 4;   // Items of a ReplayBatch for each correction in it.
// Of one progress message. More is no honest count, and sums of such might overflow.
constexpr int64_t kTokensRunMax = int64_t{1} << 40;

bool SameSecret(const std::string& got, const std::array<uint8_t, 16>& wanted) {
  if (got.size() != wanted.size()) return false;
  uint8_t difference = 0;  // In constant time, as far as the compiler lets us.
  for (size_t i = 0; i < wanted.size(); ++i) {
    difference |= static_cast<uint8_t>(got[i]) ^ wanted[i];
  }
  return difference == 0;
}

bool AreCounts(const v1::TokensRun& t) {
  const int64_t counts[] = {t.first_pass_prompt_reused(), t.first_pass_prompt_recomputed(),
                            t.first_pass_beyond_drift(),  t.later_pass_reused(),
                            t.later_pass_recomputed(),    t.replay_reused(),
                            t.replay_recomputed(),        t.response_run(),
                            t.response_reused()};
  return std::all_of(std::begin(counts), std::end(counts),
                     [](int64_t count) { return count >= 0 && count <= kTokensRunMax; });
}

// Raises each count to what `lineage` says.
void RaisePasses(const std::vector<FeedbackPasses>& lineage,
                 std::vector<FeedbackProgress>& passes) {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < passes.size(); ++i) index[passes[i].feedback_id] = i;
  for (const FeedbackPasses& held : lineage) {
    const auto it = index.find(held.feedback_id);
    if (it == index.end()) {
      passes.push_back({held.feedback_id, held.passes});
    } else {
      passes[it->second].passes = std::max(passes[it->second].passes, held.passes);
    }
  }
}

// Whether a trainer whose checkpoint has `digest` and descends from revision `parent` must begin at
// `serving` instead: it descends from another one, or was itself published and then rolled back.
absl::StatusOr<bool> MustAdopt(const RevisionId& serving, int64_t parent, const std::string& digest,
                               FeedbackLog& log) {
  if (serving.digest == digest) return false;
  if (serving.number != parent) return true;
  return log.revisions().HasLater(kDefaultAdapter, parent, digest);
}

// One correction, then three answers, and so on: the trainer takes as many from the front as it has
// room for, and the mix must not depend on how many that is.
std::vector<v1::FeedbackItem> Interleave(std::vector<v1::FeedbackItem> corrections,
                                         std::vector<v1::FeedbackItem> answers) {
  std::vector<v1::FeedbackItem> mixed;
  size_t correction = 0, answer = 0;
  while (correction < corrections.size() || answer < answers.size()) {
    const bool turn = mixed.size() % kReplayPerCorrection == 0 || answer == answers.size();
    if (turn && correction < corrections.size()) {
      mixed.push_back(std::move(corrections[correction++]));
    } else if (answer < answers.size()) {
      mixed.push_back(std::move(answers[answer++]));
    }
  }
  return mixed;
}

// A quarter of them corrections that have had their passes, as far as there are so many.
absl::StatusOr<std::vector<v1::FeedbackItem>> DrawReplay(FeedbackLog& log, int64_t count) {
  std::vector<v1::FeedbackItem> items, replayed_answers;
  ASSIGN_OR_RETURN(
      const std::vector<ReplayCandidate> corrections,
      log.replay().Draw(kDefaultAdapter, ReplaySource::kCorrection, count / kReplayPerCorrection));
  for (const ReplayCandidate& candidate : corrections) {
    ASSIGN_OR_RETURN(const CompletionRow completion,
                     log.completions().Find(candidate.completion_id));
    ASSIGN_OR_RETURN(const FeedbackRow correction, log.feedback().Get(candidate.feedback_id));
    items.push_back(ReplayItemOf(completion, correction));
  }
  const int64_t rest = count - static_cast<int64_t>(items.size());
  ASSIGN_OR_RETURN(const std::vector<ReplayCandidate> answers,
                   log.replay().Draw(kDefaultAdapter, ReplaySource::kAnswer, rest));
  for (const ReplayCandidate& candidate : answers) {
    ASSIGN_OR_RETURN(const CompletionRow completion,
                     log.completions().Find(candidate.completion_id));
    replayed_answers.push_back(ReplayItemOf(completion));
  }
  return Interleave(std::move(items), std::move(replayed_answers));
}

}  // namespace

void TrainerFeed::OnAttachEvent(const AttachEvent& event) {
  switch (event.kind) {
    case AttachEvent::Kind::kAttached:
      session_.OnAttached(event.session_epoch, parts_.clock->MonotonicUs());
      secret_ = event.secret;
      trainer_page_ = event.trainer_page;
      parts_.server_page->session_epoch = event.session_epoch;
      LOG(INFO) << "trainer attached: process " << event.pid << ", session " << event.session_epoch;
      break;
    case AttachEvent::Kind::kStreamEnded:
      if (event.session_epoch == session_.epoch()) {
        Apply(session_.OnStreamEnd(parts_.clock->MonotonicUs()));
      }
      break;
    case AttachEvent::Kind::kExited:
      if (event.session_epoch == session_.epoch()) Apply(session_.OnExit());
      break;
  }
}

void TrainerFeed::Apply(SessionAction action) {
  if (session_.state() != SessionState::kActive && session_.state() != SessionState::kSuspect &&
      outbox_ != nullptr) {
    outbox_->Close();
    outbox_ = nullptr;
    credit_ = 0;
  }
  switch (action) {
    case SessionAction::kNothing:
      return;
    case SessionAction::kKill:
      parts_.kill_trainer(parts_.server_page->session_epoch);
      return;
    case SessionAction::kEndLeases: {
      const uint64_t epoch = parts_.server_page->session_epoch;
      parts_.store->EndSession(epoch);
      parts_.end_attachment(epoch);
      trainer_page_ = nullptr;
      LOG(INFO) << "trainer session " << epoch << " ended";
      return;
    }
  }
}

void TrainerFeed::OnHello(const v1::TrainerMessage& message, std::shared_ptr<LinkOutbox> outbox,
                          std::function<void(absl::Status)> ready) {
  const v1::Hello& hello = message.hello();
  if (session_.state() != SessionState::kAttached) {
    return ready(absl::FailedPreconditionError("link: no trainer is attached"));
  }
  if (!SameSecret(hello.session_secret(), secret_) || hello.canary() != parts_.canary ||
      message.epochs().store_epoch() != parts_.store_epoch ||
      message.epochs().session_epoch() != session_.epoch()) {
    LOG(WARNING) << "link: hello with a wrong secret, canary or epoch";
    return ready(absl::PermissionDeniedError("link: wrong secret, canary or epoch"));
  }
  if (!hello.kernels().empty() && hello.kernels() != parts_.kernels) {
    LOG(ERROR) << "link: the trainer runs other kernels (" << hello.kernels()
               << ") than the server (" << parts_.kernels << ")";
    return ready(absl::FailedPreconditionError(
        absl::StrCat("link: kernels: the server runs other ones: ", parts_.kernels)));
  }
  const uint64_t epoch = session_.epoch();
  const int64_t step = hello.step();
  const RevisionId serving = parts_.registry->serving()->id;
  std::vector<FeedbackProgress> passes = ProgressOf(hello.passes());
  const auto adopt = std::make_shared<bool>(false);
  // The checkpoint is the truth about passes; but the served weights, from which a trainer begins
  // whose checkpoint does not descend from them, may hold more.
  const absl::Status posted = parts_.log->Post(
      [=, parent = static_cast<int64_t>(hello.parent()),
       digest = hello.checkpoint_digest()](FeedbackLog& log) mutable -> absl::Status {
        ASSIGN_OR_RETURN(*adopt, MustAdopt(serving, parent, digest, log));
        ASSIGN_OR_RETURN(const std::vector<FeedbackPasses> lineage,
                         log.revisions().PassesInLineage(kDefaultAdapter, serving.number));
        RaisePasses(lineage, passes);
        RETURN_IF_ERROR(log.feedback().ResetPasses(passes));
        return log.steps().RestartFrom(step);
      },
      [this, epoch, outbox, ready, adopt, serving](absl::Status status) {
        parts_.post_to_loop([this, epoch, status, outbox, ready, adopt, serving] {
          // What was decided holds for what served then: a rollback may have come since.
          const bool changed = parts_.registry->serving()->id != serving;
          FinishHello(epoch, status, outbox, *adopt || changed, ready);
        });
      });
  if (!posted.ok()) ready(posted);
}

void TrainerFeed::FinishHello(uint64_t session_epoch, absl::Status status,
                              std::shared_ptr<LinkOutbox> outbox, bool adopt,
                              const std::function<void(absl::Status)>& ready) {
  KILL_POINT("server.hello_logged");
  if (status.ok() &&
      (session_.epoch() != session_epoch || session_.state() != SessionState::kAttached)) {
    status = absl::AbortedError("link: the session ended");
  }
  ready(status);
  if (!status.ok()) return;
  session_.OnHello(parts_.clock->MonotonicUs());
  outbox_ = std::move(outbox);
  received_ = 1;
  sent_ = 0;
  credit_ = 0;
  sent_seq_ = 0;
  more_in_log_ = true;
  v1::ServerMessage message;
  v1::Welcome& welcome = *message.mutable_welcome();
  *welcome.mutable_base() = ToMessage(parts_.base);
  *welcome.mutable_serving() = ToMessage(parts_.registry->serving()->id);
  welcome.set_revisions_dir(parts_.registry->revisions_dir());
  welcome.set_incoming_dir(parts_.registry->incoming_dir());
  welcome.set_training_paused(paused());
  welcome.set_adopt_serving(adopt);
  Send(std::move(message));
  LOG(INFO) << "trainer session " << session_epoch << " is active";
}

void TrainerFeed::Send(v1::ServerMessage message) {
  if (outbox_ == nullptr) return;
  message.mutable_epochs()->set_store_epoch(parts_.store_epoch);
  message.mutable_epochs()->set_session_epoch(session_.epoch());
  message.set_sequence(++sent_);
  if (!outbox_->TryPush(std::move(message))) Fail("it does not read its messages");
}

// The trainer broke the protocol: its session ends as if its stream had.
void TrainerFeed::Fail(absl::string_view why) {
  LOG(WARNING) << "trainer session " << session_.epoch() << ": " << why;
  Apply(session_.OnStreamEnd(parts_.clock->MonotonicUs()));
}

void TrainerFeed::OnLinkEnd(uint64_t session_epoch) {
  if (session_epoch == session_.epoch()) {
    Apply(session_.OnStreamEnd(parts_.clock->MonotonicUs()));
  }
}

void TrainerFeed::OnMessage(uint64_t session_epoch, const v1::TrainerMessage& message) {
  if (session_epoch != session_.epoch() || outbox_ == nullptr ||
      message.epochs().store_epoch() != parts_.store_epoch ||
      message.epochs().session_epoch() != session_epoch) {
    ++stale_messages_;  // I3: it changes nothing.
    return;
  }
  if (message.sequence() != ++received_) return Fail("a message is missing");
  switch (message.message_case()) {
    case v1::TrainerMessage::kItemRequest:
      credit_ += std::clamp<int64_t>(message.item_request().feedback_items(), 0, kLinkOutboxMax);
      credit_ = std::min(credit_, kLinkOutboxMax / 2);
      if (message.item_request().replay_items() > 0) FetchReplay(message.item_request());
      break;
    case v1::TrainerMessage::kRelease:
      parts_.store->Release(session_epoch, message.release().lease_id(),
                            message.release().first_layer(), message.release().layers());
      break;
    case v1::TrainerMessage::kPublish:
      OnPublish(message.publish());
      break;
    case v1::TrainerMessage::kProgress:
      OnProgress(message.progress());
      break;
    case v1::TrainerMessage::kRevokeAck:
      break;  // Nothing is revoked yet.
    case v1::TrainerMessage::kGoodbye:
      session_.OnGoodbye();
      break;
    default:
      Fail("an unknown or unexpected message");
  }
}

void TrainerFeed::Tick() {
  const auto* page = trainer_page_ == nullptr
                         ? nullptr
                         : reinterpret_cast<const TrainerPage*>(trainer_page_->data());
  const uint64_t heartbeat = page == nullptr ? 0 : page->heartbeat.load();
  Apply(session_.OnTick(heartbeat, parts_.clock->MonotonicUs()));
  FetchItems();
}

void TrainerFeed::FetchItems() {
  if (!session_.MayLease() || outbox_ == nullptr || paused() || fetching_ || !more_in_log_ ||
      credit_ == 0 || parts_.clock->MonotonicUs() < fetch_after_us_) {
    return;
  }
  fetching_ = true;
  more_in_log_ = false;
  const uint64_t epoch = session_.epoch();
  const int64_t limit = std::min(credit_, kFetchMax);
  auto found = std::make_shared<std::vector<UnfinishedFeedback>>();
  const absl::Status posted = parts_.log->Post(
      [found, after = sent_seq_, limit](FeedbackLog& log) -> absl::Status {
        ASSIGN_OR_RETURN(*found, log.feedback().Unfinished(after, limit));
        return absl::OkStatus();
      },
      [this, found, epoch, limit](absl::Status status) {
        parts_.post_to_loop([this, found, epoch, limit, status] {
          fetching_ = false;
          if (!status.ok()) {
            LOG(ERROR) << "reading unfinished feedback: " << status;
            fetch_after_us_ = parts_.clock->MonotonicUs() + kFetchRetryUs;
          }
          if (!status.ok() || epoch != session_.epoch() || outbox_ == nullptr) {
            more_in_log_ = true;
            return;
          }
          more_in_log_ = more_in_log_ || static_cast<int64_t>(found->size()) == limit;
          SendItems(*found);
        });
      });
  if (!posted.ok()) {
    fetching_ = false;
    more_in_log_ = true;  // The log is busy: again at the next tick.
  }
}

void TrainerFeed::SendItems(const std::vector<UnfinishedFeedback>& unfinished) {
  for (const UnfinishedFeedback& each : unfinished) {
    if (outbox_ == nullptr) return;  // The session ended on the way; the next one begins anew.
    v1::ServerMessage message;
    *message.mutable_item() = FeedbackItemOf(each);
    AttachRecord(each.completion.completion_id, *message.mutable_item());
    VLOG(1) << FeedbackLogId(each.feedback) << " revision " << each.completion.revision.number
            << " is sent to session " << session_.epoch() << ", record "
            << message.item().record().record_id();
    Send(std::move(message));
    sent_seq_ = each.feedback.seq;
    --credit_;
  }
}

void TrainerFeed::FetchReplay(const v1::ItemRequest& request) {
  const uint64_t epoch = session_.epoch();
  const int64_t count = std::min<int64_t>(request.replay_items(), v1::LINK_LIMIT_REPLAY_ITEMS);
  auto found = std::make_shared<std::vector<v1::FeedbackItem>>();
  const auto send = [this, found, epoch, records = request.replay_records()] {
    if (epoch != session_.epoch() || outbox_ == nullptr) return;
    v1::ServerMessage message;
    v1::ReplayBatch& batch = *message.mutable_replay_batch();
    for (v1::FeedbackItem& item : *found) {
      if (records) AttachRecord(item.completion_id(), item);
      *batch.add_items() = std::move(item);
    }
    Send(std::move(message));
  };
  const absl::Status posted = parts_.log->Post(
      [found, count](FeedbackLog& log) -> absl::Status {
        ASSIGN_OR_RETURN(*found, DrawReplay(log, count));
        return absl::OkStatus();
      },
      [this, found, send](absl::Status status) {
        if (!status.ok()) {
          LOG(ERROR) << "drawing replay: " << status;
          found->clear();
        }
        parts_.post_to_loop(send);
      });
  if (!posted.ok()) send();  // An empty batch: the trainer goes on without.
}

void TrainerFeed::AttachRecord(const std::string& completion_id, v1::FeedbackItem& item) {
  const auto it = records_.find(completion_id);
  if (it == records_.end() || !session_.MayLease()) return;
  const auto& [prompt, response] = it->second;
  const bool with_answer = !item.is_correction() && parts_.store->Holds(response);
  const absl::StatusOr<RecordDescriptor> lease =
      parts_.store->Lease(with_answer ? response : prompt, session_.epoch());
  if (!lease.ok()) {
    records_.erase(it);
    return;
  }
  KILL_POINT("server.leased");
  *item.mutable_record() = ToMessage(*lease);
}

void TrainerFeed::OnPublish(const v1::Publish& publish) {
  PublishCandidate candidate;
  candidate.directory = publish.directory();
  candidate.parent = static_cast<int64_t>(publish.parent());
  candidate.digest = publish.digest();
  candidate.step = publish.step();
  for (const v1::FeedbackPassCount& count : publish.lineage()) {
    candidate.lineage.push_back({count.feedback_id(), count.passes()});
  }
  candidate.settled = ProgressOf(publish.settled());
  VLOG(1) << "publish " << publish.request_id() << " of session " << session_.epoch() << ": step "
          << candidate.step << " on revision " << candidate.parent;
  const auto done = [this, session_epoch = session_.epoch(), request_id = publish.request_id()](
                        absl::StatusOr<std::shared_ptr<const ServedRevision>> published) {
    parts_.post_to_loop([this, session_epoch, request_id, published = std::move(published)] {
      OnPublished(session_epoch, request_id, published);
    });
  };
  if (const absl::Status posted = parts_.publisher->PostPublish(candidate, done); !posted.ok()) {
    OnPublished(session_.epoch(), publish.request_id(), posted);
  }
}

void TrainerFeed::OnPublished(uint64_t session_epoch, uint64_t request_id,
                              absl::StatusOr<std::shared_ptr<const ServedRevision>> published) {
  KILL_POINT("publish.committed");
  v1::ServerMessage message;
  v1::PublishResult& result = *message.mutable_publish_result();
  result.set_request_id(request_id);
  result.set_accepted(published.ok());
  if (published.ok()) {
    // Running requests keep theirs; the next admitted one gets this.
    parts_.registry->SetServing(*published);
    revision_counts_.set_published(revision_counts_.published() + 1);
    *result.mutable_revision() = ToMessage((*published)->id);
    LOG(INFO) << "revision " << (*published)->id.number << " serves: publish " << request_id
              << " of session " << session_epoch;
    RetireRevisions();
  } else {
    result.set_reason(std::string(published.status().message()));
    revision_counts_.set_refused(revision_counts_.refused() + 1);
    LOG(WARNING) << "publish " << request_id << " of session " << session_epoch
                 << " was refused, revision " << parts_.registry->serving()->id.number
                 << " goes on serving: " << published.status();
  }
  if (session_epoch != session_.epoch()) return;
  Send(std::move(message));
  // The trainer stands on a revision that does not serve: it begins again at the one that does.
  if (absl::IsAborted(published.status())) SendRollback();
}

// A session's next turns, and the trainer for as long as it can read a record, need the directory.
void TrainerFeed::RetireRevisions() {
  std::set<int64_t> in_use = parts_.registry->SessionRevisions();
  for (const uint64_t number : parts_.store->Revisions()) {
    in_use.insert(static_cast<int64_t>(number));
  }
  const absl::Status posted = parts_.publisher->PostRetire(std::move(in_use));
  if (!posted.ok()) LOG(WARNING) << "old revisions stay until the next publish: " << posted;
}

void TrainerFeed::OnProgress(const v1::Progress& progress) {
  if (progress.step() < 0 || !AreCounts(progress.tokens())) {
    return Fail("progress with counts that cannot be");
  }
  AddTokens(progress.tokens());
  steps_ = progress.step();
  StepRow row;
  row.step = progress.step();
  row.loss = progress.loss();
  row.update_norm = progress.update_norm();
  const v1::TokensRun& t = progress.tokens();
  row.tokens = {t.first_pass_prompt_reused(), t.first_pass_prompt_recomputed(),
                t.first_pass_beyond_drift(),  t.later_pass_reused(),
                t.later_pass_recomputed(),    t.replay_reused(),
                t.replay_recomputed(),        t.response_run(),
                t.response_reused()};
  row.recorded_unix_us = parts_.clock->WallUs();
  std::vector<FeedbackProgress> passes = ProgressOf(progress.passes());
  for (const FeedbackProgress& each : passes) {
    VLOG(1) << "feedback " << each.feedback_id << " at step " << row.step << ": passes "
            << each.passes << " end " << static_cast<int>(each.end);
  }
  const absl::Status posted = parts_.log->Post(
      [row, passes = std::move(passes),
       reused = std::vector<std::string>(progress.record_reused().begin(),
                                         progress.record_reused().end())](FeedbackLog& log) {
        RETURN_IF_ERROR(log.feedback().RecordPasses(passes));
        RETURN_IF_ERROR(log.feedback().MarkRecordReused(reused));
        return log.steps().Record(row);
      },
      [step = row.step](absl::Status status) {
        // The next hello brings the checkpoint's whole truth.
        LOG_IF(ERROR, !status.ok())
            << "progress up to step " << step << " was not logged: " << status;
      });
  LOG_IF(ERROR, !posted.ok()) << "progress up to step " << row.step
                              << " was not logged: " << posted;
}

void TrainerFeed::Restore(const StepTotals& totals) {
  steps_ = totals.steps;
  const StepTokens& t = totals.tokens;
  tokens_.set_first_pass_prompt_reused(t.first_pass_prompt_reused);
  tokens_.set_first_pass_prompt_recomputed(t.first_pass_prompt_recomputed);
  tokens_.set_first_pass_beyond_drift(t.first_pass_beyond_drift);
  tokens_.set_later_pass_reused(t.later_pass_reused);
  tokens_.set_later_pass_recomputed(t.later_pass_recomputed);
  tokens_.set_replay_reused(t.replay_reused);
  tokens_.set_replay_recomputed(t.replay_recomputed);
  tokens_.set_response_run(t.response_run);
  tokens_.set_response_reused(t.response_reused);
}

void TrainerFeed::AddTokens(const v1::TokensRun& t) {
  tokens_.set_first_pass_prompt_reused(tokens_.first_pass_prompt_reused() +
                                       t.first_pass_prompt_reused());
  tokens_.set_first_pass_prompt_recomputed(tokens_.first_pass_prompt_recomputed() +
                                           t.first_pass_prompt_recomputed());
  tokens_.set_first_pass_beyond_drift(tokens_.first_pass_beyond_drift() +
                                      t.first_pass_beyond_drift());
  tokens_.set_later_pass_reused(tokens_.later_pass_reused() + t.later_pass_reused());
  tokens_.set_later_pass_recomputed(tokens_.later_pass_recomputed() + t.later_pass_recomputed());
  tokens_.set_replay_reused(tokens_.replay_reused() + t.replay_reused());
  tokens_.set_replay_recomputed(tokens_.replay_recomputed() + t.replay_recomputed());
  tokens_.set_response_run(tokens_.response_run() + t.response_run());
  tokens_.set_response_reused(tokens_.response_reused() + t.response_reused());
}

void TrainerFeed::OnFinished(const std::string& completion_id, const CompletionRecords& records) {
  if (records.prompt == 0) return;
  records_[completion_id] = records;
  if (static_cast<int64_t>(records_.size()) > 2 * records_swept_size_) ForgetLostRecords();
}

// Evicted records leave their completion's entry behind; sweeping when the table has doubled bounds
// it.
void TrainerFeed::ForgetLostRecords() {
  std::erase_if(records_,
                [&](const auto& entry) { return !parts_.store->Holds(entry.second.prompt); });
  records_swept_size_ = std::max<int64_t>(1024, static_cast<int64_t>(records_.size()));
}

void TrainerFeed::OnFeedbackCommitted(v1::Disposition disposition, bool trainable) {
  more_in_log_ = more_in_log_ || trainable;
  v1::FeedbackCounts& counts = feedback_counts_;
  switch (disposition) {
    case v1::DISPOSITION_RECORD_HELD:
      return counts.set_record_held(counts.record_held() + 1);
    case v1::DISPOSITION_WILL_RECOMPUTE:
      return counts.set_will_recompute(counts.will_recompute() + 1);
    case v1::DISPOSITION_QUEUED:
      return counts.set_queued(counts.queued() + 1);
    case v1::DISPOSITION_DUPLICATE:
      return counts.set_duplicate(counts.duplicate() + 1);
    case v1::DISPOSITION_NOT_TRAINED_YET:
      return counts.set_not_trained_yet(counts.not_trained_yet() + 1);
    case v1::DISPOSITION_REJECTED:
      return counts.set_rejected(counts.rejected() + 1);
    default:
      LOG(ERROR) << "feedback of an unknown disposition, " << disposition << ", is not counted";
  }
}

void TrainerFeed::OnRollback() {
  revision_counts_.set_rolled_back(revision_counts_.rolled_back() + 1);
  SendRollback();
}

void TrainerFeed::SendRollback() {
  v1::ServerMessage message;
  *message.mutable_rollback()->mutable_revision() = ToMessage(parts_.registry->serving()->id);
  Send(std::move(message));
}

void TrainerFeed::SetPaused(bool paused) {
  paused_.Set(paused, parts_.clock->MonotonicUs());
  v1::ServerMessage message;
  message.mutable_control()->set_paused(paused);
  Send(std::move(message));
}

bool TrainerFeed::HoldsRecord(const std::string& completion_id) const {
  return parts_.store->Holds(RecordsOf(completion_id).prompt);
}

CompletionRecords TrainerFeed::RecordsOf(const std::string& completion_id) const {
  const auto it = records_.find(completion_id);
  return it == records_.end() ? CompletionRecords() : it->second;
}

v1::TrainerState TrainerFeed::state() const {
  switch (session_.state()) {
    case SessionState::kNone:
    case SessionState::kFenced:
      return v1::TRAINER_STATE_ABSENT;
    case SessionState::kAttached:
      return v1::TRAINER_STATE_ATTACHED;
    case SessionState::kActive:
      return v1::TRAINER_STATE_ACTIVE;
    case SessionState::kSuspect:
      return v1::TRAINER_STATE_SUSPECT;
  }
  return v1::TRAINER_STATE_UNSPECIFIED;
}

std::string TrainerFeed::Inspect() const {
  return absl::StrCat("session ", session_.epoch(), " ", SessionStateName(session_.state()),
                      paused() ? " paused" : "", "\nsent ", sent_, " received ", received_,
                      " stale ", stale_messages_, "\ncredit ", credit_, " log sent up to ",
                      sent_seq_, more_in_log_ ? " (more)" : "", "\n");
}

}  // namespace alchemist
