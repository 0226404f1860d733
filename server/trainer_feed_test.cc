#include "server/trainer_feed.h"

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/captured_log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/trainer_feed_testing.h"

namespace alchemist {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(TrainerFeedTest, AHelloIsWelcomedWithWhatTheTrainerNeeds) {
  Attach(5);
  EXPECT_EQ(feed_->state(), v1::TRAINER_STATE_ATTACHED);
  ASSERT_TRUE(SayHello(Hello(5)).ok());
  EXPECT_TRUE(feed_->active());
  const v1::ServerMessage message = Next();
  EXPECT_EQ(message.sequence(), 1u);
  EXPECT_EQ(message.epochs().session_epoch(), 5u);
  EXPECT_EQ(message.welcome().serving().digest(), registry_->serving()->id.digest);
  EXPECT_EQ(message.welcome().base().base_digest(), "base-digest");
  EXPECT_EQ(message.welcome().revisions_dir(), registry_->revisions_dir());
}

TEST_F(TrainerFeedTest, AWrongSecretCanaryOrEpochIsDenied) {
  EXPECT_EQ(SayHello(Hello(5)).code(), absl::StatusCode::kFailedPrecondition) << "nobody attached";
  Attach(5);
  std::vector<v1::TrainerMessage> wrong(5, Hello(5));
  wrong[0].mutable_hello()->set_session_secret(std::string(16, 'x'));
  wrong[1].mutable_hello()->set_session_secret(std::string(15, static_cast<char>(5)));
  wrong[2].mutable_hello()->set_canary(kFeedCanary + 1);
  wrong[3].mutable_epochs()->set_store_epoch(kFeedStoreEpoch + 1);
  wrong[4].mutable_epochs()->set_session_epoch(4);
  for (const v1::TrainerMessage& hello : wrong) {
    EXPECT_EQ(SayHello(hello).code(), absl::StatusCode::kPermissionDenied);
    EXPECT_FALSE(feed_->active());
  }
  EXPECT_TRUE(SayHello(Hello(5)).ok()) << "the right one still can";
  EXPECT_EQ(SayHello(Hello(5)).code(), absl::StatusCode::kFailedPrecondition) << "once";
}

TEST_F(TrainerFeedTest, ATrainerWithOtherKernelsIsRefused) {
  Attach(5);
  v1::TrainerMessage hello = Hello(5);
  hello.mutable_hello()->set_kernels("others");
  const absl::Status refused = SayHello(hello);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("some kernels"));
  EXPECT_FALSE(feed_->active());
  hello.mutable_hello()->set_kernels("some kernels");
  EXPECT_TRUE(SayHello(hello).ok());
}

TEST_F(TrainerFeedTest, ItemsAreSentAsFarAsTheyWereAskedForInOrder) {
  for (const char* id : {"a", "b", "c", "d"}) AddFeedback(id);
  Activate(5);
  Tick();
  EXPECT_TRUE(ItemIds().empty()) << "without credit";
  Ask(5, 3);
  EXPECT_THAT(ItemIds(), ElementsAre("a", "b", "c"));
  Tick();
  EXPECT_TRUE(ItemIds().empty());
  Ask(5, 5);
  EXPECT_THAT(ItemIds(), ElementsAre("d"));
  AddFeedback("e");
  Tick();
  EXPECT_THAT(ItemIds(), ElementsAre("e")) << "credit is kept";
  Ask(5, -100);
  for (const char* id : {"f", "g", "h", "i"}) AddFeedback(id);
  Tick();
  EXPECT_THAT(ItemIds(), ElementsAre("f", "g", "h")) << "a negative request takes none away";
}

TEST_F(TrainerFeedTest, NothingIsSentWhilePaused) {
  AddFeedback("a");
  Activate(5);
  feed_->SetPaused(true);
  EXPECT_TRUE(Next().control().paused());
  Ask(5, 10);
  EXPECT_TRUE(ItemIds().empty());
  feed_->SetPaused(false);
  EXPECT_FALSE(Next().control().paused());
  Tick();
  EXPECT_THAT(ItemIds(), ElementsAre("a"));
}

TEST_F(TrainerFeedTest, ANewSessionGetsWhatIsUnfinishedAgain) {
  for (const char* id : {"a", "b"}) AddFeedback(id);
  Activate(5);
  Ask(5, 10);
  EXPECT_THAT(ItemIds(), ElementsAre("a", "b"));
  feed_->OnLinkEnd(5);
  AttachEvent exited;
  exited.kind = AttachEvent::Kind::kExited;
  exited.session_epoch = 5;
  feed_->OnAttachEvent(exited);
  EXPECT_THAT(ended_, ElementsAre(5u));
  Attach(6);
  v1::TrainerMessage hello = Hello(6);
  v1::FeedbackPassCount& done = *hello.mutable_hello()->add_passes();
  done.set_feedback_id("a");
  done.set_passes(8);
  done.set_done(true);
  ASSERT_TRUE(SayHello(hello).ok());
  Next();
  Ask(6, 10);
  EXPECT_THAT(ItemIds(), ElementsAre("b")) << "the checkpoint says that a is done";
}

TEST_F(TrainerFeedTest, ACheckpointThatNamesUnknownFeedbackIsRefused) {
  Attach(5);
  v1::TrainerMessage hello = Hello(5);
  hello.mutable_hello()->add_passes()->set_feedback_id("of another log");
  EXPECT_EQ(SayHello(hello).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(feed_->active());
}

TEST_F(TrainerFeedTest, MessagesOfAnotherSessionChangeNothing) {
  AddFeedback("a");
  const uint64_t record = AddRecord("of-a");
  Activate(5);
  Ask(5, 1);
  const v1::ServerMessage item = Next();
  ASSERT_EQ(item.item().record().record_id(), record);
  v1::TrainerMessage release = Message(5);
  release.mutable_release()->set_lease_id(item.item().record().lease_id());
  release.mutable_release()->set_layers(2);
  feed_->OnMessage(4, release);  // Of a stream that is over.
  release.mutable_epochs()->set_session_epoch(4);
  feed_->OnMessage(5, release);
  release.mutable_epochs()->set_session_epoch(5);
  release.mutable_epochs()->set_store_epoch(kFeedStoreEpoch - 1);
  feed_->OnMessage(5, release);
  feed_->OnLinkEnd(4);
  EXPECT_EQ(store_->ledger().leases, 1);
  EXPECT_TRUE(feed_->active());
  EXPECT_THAT(feed_->Inspect(), HasSubstr("stale 3"));
  release.mutable_epochs()->set_store_epoch(kFeedStoreEpoch);
  feed_->OnMessage(5, release);
  EXPECT_EQ(store_->ledger().leases, 0);
  EXPECT_TRUE(feed_->active());
}

TEST_F(TrainerFeedTest, AMissingOrUnknownMessageEndsTheSession) {
  for (const bool missing : {true, false}) {
    const uint64_t epoch = missing ? 5 : 6;
    Activate(epoch);
    v1::TrainerMessage message = Message(epoch);
    if (missing) {
      message.mutable_item_request()->set_feedback_items(1);
      message.set_sequence(message.sequence() + 1);
    }
    feed_->OnMessage(epoch, message);
    EXPECT_FALSE(feed_->active()) << missing;
    EXPECT_TRUE(outbox_->closed());
    AttachEvent exited;
    exited.kind = AttachEvent::Kind::kExited;
    exited.session_epoch = epoch;
    feed_->OnAttachEvent(exited);
  }
}

TEST_F(TrainerFeedTest, ATrainerThatDoesNotExitIsKilledAfterItsGraceAndKeepsItsLeasesTillThen) {
  AddFeedback("a");
  AddRecord("of-a");
  Activate(5);
  Ask(5, 1);
  ASSERT_EQ(store_->ledger().leases, 1);
  feed_->OnLinkEnd(5);
  Tick();
  clock_.AdvanceUs(kExitGraceUs - 1);
  Tick();
  EXPECT_TRUE(killed_.empty());
  clock_.AdvanceUs(1);
  Tick();
  Tick();
  EXPECT_THAT(killed_, ElementsAre(5u)) << "once";
  EXPECT_EQ(store_->ledger().leases, 1) << "until it is proven dead";
  AttachEvent exited;
  exited.kind = AttachEvent::Kind::kExited;
  exited.session_epoch = 5;
  feed_->OnAttachEvent(exited);
  EXPECT_EQ(store_->ledger().leases, 0);
  EXPECT_EQ(feed_->state(), v1::TRAINER_STATE_ABSENT);
}

TEST_F(TrainerFeedTest, AGoodbyeEndsTheSessionWithoutForce) {
  AddFeedback("a");
  AddFeedback("b");
  AddRecord("of-a");
  AddRecord("of-b");
  Activate(5);
  Ask(5, 1);
  ASSERT_EQ(store_->ledger().leases, 1);
  v1::TrainerMessage goodbye = Message(5);
  goodbye.mutable_goodbye();
  feed_->OnMessage(5, goodbye);
  Ask(5, 1);
  EXPECT_EQ(store_->ledger().leases, 1) << "no lease after a goodbye";
  feed_->OnLinkEnd(5);
  EXPECT_EQ(store_->ledger().leases, 0);
  EXPECT_THAT(ended_, ElementsAre(5u));
  clock_.AdvanceUs(10 * kExitGraceUs);
  Tick();
  EXPECT_TRUE(killed_.empty());
}

TEST_F(TrainerFeedTest, ATrainerThatDoesNotReadLosesItsSession) {
  Activate(5);
  for (int64_t i = 0; i < kLinkOutboxMax; ++i) feed_->SetPaused(false);
  EXPECT_TRUE(feed_->active());
  feed_->SetPaused(false);
  EXPECT_FALSE(feed_->active());
  EXPECT_TRUE(outbox_->closed());
}

TEST_F(TrainerFeedTest, ReplayIsAnsweredByOneBatchEvenAnEmptyOne) {
  Activate(5);
  Ask(5, 0, 3);
  const v1::ServerMessage empty = Next();
  ASSERT_TRUE(empty.has_replay_batch());
  EXPECT_EQ(empty.replay_batch().items_size(), 0);
  for (const char* id : {"a", "b"}) {
    ASSERT_TRUE(InLog([&](FeedbackLog& log) {
                  CompletionRow row = TestCompletion(id);
                  row.finish_reason = FinishReason::kEos;
                  return log.completions().Add(row);
                }).ok());
  }
  AddRecord("a");
  Ask(5, 0, 3);
  const v1::ServerMessage batch = Next();
  ASSERT_TRUE(batch.has_replay_batch());
  EXPECT_EQ(batch.replay_batch().items_size(), 2);
  for (const v1::FeedbackItem& item : batch.replay_batch().items()) {
    EXPECT_EQ(item.kind(), v1::ITEM_KIND_REPLAY);
    EXPECT_EQ(item.has_record(), item.item_id() == "a");
  }
  EXPECT_EQ(store_->ledger().leases, 1);
  Ask(5, 0, 3, /*replay_records=*/false);
  const v1::ServerMessage without = Next();
  EXPECT_EQ(without.replay_batch().items_size(), 2);
  for (const v1::FeedbackItem& item : without.replay_batch().items()) {
    EXPECT_FALSE(item.has_record()) << "a lease that nobody asked for";
  }
  EXPECT_EQ(store_->ledger().leases, 1);
}

TEST_F(TrainerFeedTest, AQuarterOfAReplayBatchAreCorrectionsThatAreDone) {
  Activate(5);
  ASSERT_TRUE(InLog([&](FeedbackLog& log) -> absl::Status {
                for (const std::string id : {"a", "b", "c"}) {
                  RETURN_IF_ERROR(log.completions().Add(TestCompletion("of-" + id)));
                  RETURN_IF_ERROR(
                      log.feedback().Add(TestCorrection(id, "of-" + id, "right")).status());
                }
                for (const char* id : {"d", "e"}) {
                  RETURN_IF_ERROR(log.completions().Add(TestCompletion(id)));
                }
                return absl::OkStatus();
              }).ok());
  v1::Publish publish = Candidate("one", 0.5f);
  for (const char* id : {"a", "c"}) {
    for (v1::FeedbackPassCount* entry : {publish.add_lineage(), publish.add_settled()}) {
      entry->set_feedback_id(id);
      entry->set_passes(8);
    }
  }
  ASSERT_TRUE(PublishAndWait(5, publish).accepted());
  AddRecord("of-a");
  Ask(5, 0, 8);
  const v1::ServerMessage batch = Next();
  std::set<std::string> ids;
  for (const v1::FeedbackItem& item : batch.replay_batch().items()) {
    ids.insert(item.item_id());
    EXPECT_EQ(item.kind(), v1::ITEM_KIND_REPLAY);
    EXPECT_EQ(item.is_correction(), item.item_id() != item.completion_id());
    EXPECT_EQ(item.has_record(), item.completion_id() == "of-a");
    EXPECT_FALSE(item.response_tokens().empty());
  }
  // However few of them there is room for, the mix is the same.
  EXPECT_TRUE(batch.replay_batch().items(0).is_correction());
  EXPECT_FALSE(batch.replay_batch().items(1).is_correction());
  EXPECT_EQ(ids, (std::set<std::string>{"a", "c", "d", "e"}));
  ASSERT_TRUE(publisher_->PostRollback(0, [](const auto& done) { CHECK(done.ok()); }).ok());
  Settle();
  Ask(5, 0, 8);
  EXPECT_EQ(Next().replay_batch().items_size(), 2) << "the corrections are rolled back";
}

TEST_F(TrainerFeedTest, ARatedAnswersRecordIsLeasedOfACorrectedOneItsPromptsAlone) {
  AddFeedback("rated");
  AddFeedback("without");
  const CompletionRecords rated = AddRecordWithAnswer("of-rated");
  const CompletionRecords without = AddRecordWithAnswer("of-without");
  const CompletionRecords corrected = AddRecordWithAnswer("of-corrected");
  const absl::Status added = InLog([&](FeedbackLog& log) -> absl::Status {
    RETURN_IF_ERROR(log.completions().Add(TestCompletion("of-corrected")));
    return log.feedback().Add(TestCorrection("corrected", "of-corrected", "right")).status();
  });
  ASSERT_TRUE(added.ok()) << added;
  Activate(5);
  // The answer's record of one is evicted, its prompt's is held.
  ASSERT_TRUE(store_->Lease(rated.response, 5).ok());
  ASSERT_TRUE(store_->Lease(corrected.response, 5).ok());
  ASSERT_TRUE(store_->Lease(without.prompt, 5).ok());
  clock_.AdvanceUs(1);
  ASSERT_EQ(store_->EvictOlderThan(clock_.MonotonicUs()), 1);
  Ask(5, 3);
  EXPECT_EQ(Next().item().record().record_id(), rated.response);
  EXPECT_EQ(Next().item().record().record_id(), without.prompt);
  EXPECT_EQ(Next().item().record().record_id(), corrected.prompt);
}

TEST_F(TrainerFeedTest, AnItemWhoseRecordIsGoneIsSentWithoutIt) {
  AddFeedback("a");
  AddRecord("of-a");
  EXPECT_TRUE(feed_->HoldsRecord("of-a"));
  clock_.AdvanceUs(1);
  EXPECT_EQ(store_->EvictOlderThan(clock_.MonotonicUs()), 1);
  EXPECT_FALSE(feed_->HoldsRecord("of-a"));
  Activate(5);
  Ask(5, 1);
  const v1::ServerMessage item = Next();
  EXPECT_EQ(item.item().item_id(), "a");
  EXPECT_FALSE(item.item().has_record());
}

TEST_F(TrainerFeedTest, AnAcceptedCandidateServesUnderANewNumber) {
  Activate(5);
  const v1::Publish candidate = Candidate("one", 0.5f);
  CapturedLog log;
  const v1::PublishResult result = PublishAndWait(5, candidate);
  ASSERT_TRUE(result.accepted()) << result.reason();
  EXPECT_THAT(log.Take(), Contains(absl::StrCat("I revision 1 serves: publish ",
                                                result.request_id(), " of session 5")));
  EXPECT_EQ(result.revision().number(), 1u);
  EXPECT_EQ(result.revision().digest(), candidate.digest());
  EXPECT_EQ(registry_->serving()->id.digest, candidate.digest());
  EXPECT_EQ(ServingInLog(), 1);
  EXPECT_FALSE(std::filesystem::exists(registry_->incoming_dir() + "/one"));
}

TEST_F(TrainerFeedTest, WrongCandidatesAreRefusedAndServingStays) {
  Activate(5);
  std::vector<v1::Publish> wrong;
  wrong.push_back(Candidate("digest", 0.5f));
  wrong.back().set_digest(registry_->serving()->id.digest);
  wrong.push_back(Candidate("absent", 0.5f));
  wrong.back().set_directory("nobody");
  const v1::Publish named = Candidate("named", 0.5f);
  for (const char* name : {"", ".", "..", "../revisions/default/0", "a/b", ".hidden"}) {
    wrong.push_back(named);
    wrong.back().set_directory(name);
  }
  CapturedLog log;
  for (const v1::Publish& publish : wrong) {
    const v1::PublishResult result = PublishAndWait(5, publish);
    EXPECT_FALSE(result.accepted()) << publish.ShortDebugString();
    EXPECT_THAT(
        log.Take(),
        Contains(HasSubstr(absl::StrCat("publish ", result.request_id(),
                                        " of session 5 was refused, revision 0 goes on "))));
    EXPECT_FALSE(result.reason().empty());
  }
  EXPECT_EQ(registry_->serving()->id.number, 0);
  EXPECT_EQ(ServingInLog(), 0);
  EXPECT_TRUE(feed_->active()) << "a refusal ends no session";
}

// It can come to stand on one that does not serve; without this no later publish would be accepted.
TEST_F(TrainerFeedTest, ATrainerOnAnotherRevisionIsSentToTheOneThatServes) {
  Activate(5);
  v1::Publish candidate = Candidate("parent", 0.5f);
  candidate.set_parent(7);
  EXPECT_FALSE(PublishAndWait(5, candidate).accepted());
  const v1::ServerMessage message = Next();
  ASSERT_TRUE(message.has_rollback()) << message.ShortDebugString();
  EXPECT_EQ(message.rollback().revision().number(), 0u);
  EXPECT_EQ(ServingInLog(), 0);
}

TEST_F(TrainerFeedTest, APinnedAdapterTakesNoCandidate) {
  Activate(5);
  ASSERT_TRUE(InLog([](FeedbackLog& log) {
                return log.revisions().SetPinned(kDefaultAdapter, true);
              }).ok());
  const v1::PublishResult result = PublishAndWait(5, Candidate("one", 0.5f));
  EXPECT_FALSE(result.accepted());
  EXPECT_THAT(result.reason(), HasSubstr("pinned"));
  EXPECT_EQ(ServingInLog(), 0);
}

TEST_F(TrainerFeedTest, ACandidateDoesNotUndoARollbackThatCameBeforeIt) {
  Activate(5);
  ASSERT_TRUE(PublishAndWait(5, Candidate("one", 0.5f)).accepted());
  const v1::Publish publish = Candidate("two", 0.75f);
  ASSERT_TRUE(publisher_->PostRollback(0, [](const auto& done) { CHECK(done.ok()); }).ok());
  Send(5, publish);
  Settle();
  const v1::PublishResult result = Next().publish_result();
  EXPECT_EQ(result.request_id(), publish.request_id());
  EXPECT_FALSE(result.accepted());
  EXPECT_EQ(ServingInLog(), 0) << "the rollback stands";
}

// What the hello's log work decided was about the revision that served before.
TEST_F(TrainerFeedTest, ARollbackThatOvertakesAHelloIsAdopted) {
  Activate(5);
  const v1::Publish one = Candidate("one", 0.5f);
  ASSERT_TRUE(PublishAndWait(5, one).accepted());
  feed_->OnLinkEnd(5);
  AttachEvent exited;
  exited.kind = AttachEvent::Kind::kExited;
  exited.session_epoch = 5;
  feed_->OnAttachEvent(exited);
  Attach(6);
  outbox_ = std::make_shared<LinkOutbox>(kLinkOutboxMax);
  v1::TrainerMessage hello = Hello(6);
  hello.mutable_hello()->set_checkpoint_digest(one.digest());
  feed_->OnHello(hello, outbox_, [](const absl::Status& status) { CHECK(status.ok()); });
  ASSERT_TRUE(InLog([](FeedbackLog&) { return absl::OkStatus(); }).ok());
  const auto finish_hello = loop_.TryPop();
  ASSERT_TRUE(finish_hello.has_value());
  ASSERT_TRUE(publisher_
                  ->PostRollback(0,
                                 [this](const auto& revision) {
                                   CHECK(revision.ok());
                                   registry_->OnRollback(*revision);
                                 })
                  .ok());
  Settle();
  (*finish_hello)();
  const v1::ServerMessage message = Next();
  ASSERT_TRUE(message.has_welcome());
  EXPECT_EQ(message.welcome().serving().number(), 0u);
  EXPECT_TRUE(message.welcome().adopt_serving());
}

TEST_F(TrainerFeedTest, ACheckpointThatWasRolledBackIsNotGoneOnFromHoweverManyRevisionsThereAre) {
  constexpr int64_t kRevisions = RevisionTable::kPageMax + 1;
  ASSERT_TRUE(InLog([&](FeedbackLog& log) -> absl::Status {
                for (int64_t i = 1; i <= kRevisions; ++i) {
                  RevisionRow row;
                  ASSIGN_OR_RETURN(const int64_t number, log.revisions().Mint(kDefaultAdapter));
                  row.revision = {kDefaultAdapter, number, absl::StrCat("digest-", number)};
                  RETURN_IF_ERROR(log.revisions().Commit(row));
                }
                return absl::OkStatus();
              }).ok());
  for (const bool published : {true, false}) {
    const uint64_t epoch = published ? 5 : 6;
    Attach(epoch);
    v1::TrainerMessage hello = Hello(epoch);  // Its parent is revision 0, which serves.
    hello.mutable_hello()->set_checkpoint_digest(published ? absl::StrCat("digest-", kRevisions)
                                                           : "of no revision");
    ASSERT_TRUE(SayHello(hello).ok());
    EXPECT_EQ(Next().welcome().adopt_serving(), published);
    AttachEvent exited;
    exited.kind = AttachEvent::Kind::kExited;
    exited.session_epoch = epoch;
    feed_->OnAttachEvent(exited);
  }
}

TEST_F(TrainerFeedTest, FeedbackThatARevisionSettledIsSentToNobodyAgain) {
  AddFeedback("a");
  AddFeedback("b");
  Activate(5);
  v1::Publish publish = Candidate("one", 0.5f);
  v1::FeedbackPassCount& lineage = *publish.add_lineage();
  lineage.set_feedback_id("a");
  lineage.set_passes(2);
  v1::FeedbackPassCount& settled = *publish.add_settled();
  settled.set_feedback_id("a");
  settled.set_passes(8);
  settled.set_done(true);
  ASSERT_TRUE(PublishAndWait(5, publish).accepted());
  AttachEvent exited;
  exited.kind = AttachEvent::Kind::kExited;
  exited.session_epoch = 5;
  feed_->OnAttachEvent(exited);
  // It comes back with a checkpoint that knows less of it, and one that knows nothing of it.
  Attach(6);
  v1::TrainerMessage hello = Hello(6);
  v1::FeedbackPassCount& older = *hello.mutable_hello()->add_passes();
  older.set_feedback_id("a");
  older.set_passes(1);
  ASSERT_TRUE(SayHello(hello).ok());
  ASSERT_TRUE(Next().has_welcome());
  Ask(6, 10);
  EXPECT_THAT(ItemIds(), ElementsAre("b"));
  exited.session_epoch = 6;
  feed_->OnAttachEvent(exited);
  Activate(7);
  Ask(7, 10);
  EXPECT_THAT(ItemIds(), ElementsAre("b"));
  FeedbackRow row;
  ASSERT_TRUE(InLog([&](FeedbackLog& log) -> absl::Status {
                ASSIGN_OR_RETURN(row, log.feedback().Get("a"));
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(row.passes, 8);
}

TEST_F(TrainerFeedTest, ARevisionThatARecordNamesKeepsItsDirectory) {
  Activate(5);
  AddRecord("of revision 1", /*revision=*/1);
  for (const char* name : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(PublishAndWait(5, Candidate(name, static_cast<float>(name[0]))).accepted());
  }
  Settle();
  EXPECT_TRUE(registry_->HasDirectory(1));
  EXPECT_FALSE(registry_->HasDirectory(2));
  EXPECT_TRUE(registry_->HasDirectory(3));
  EXPECT_EQ(store_->EvictOlderThan(1), 1);
  ASSERT_TRUE(PublishAndWait(5, Candidate("5", 1.0f)).accepted());
  Settle();
  EXPECT_FALSE(registry_->HasDirectory(1));
  EXPECT_FALSE(registry_->HasDirectory(3));
  EXPECT_TRUE(registry_->HasDirectory(5));
}

TEST_F(TrainerFeedTest, TheAnswerToAPublishOfADeadSessionGoesToNobodyElse) {
  Activate(5);
  Send(5, Candidate("one", 0.5f));
  AttachEvent exited;
  exited.kind = AttachEvent::Kind::kExited;
  exited.session_epoch = 5;
  feed_->OnAttachEvent(exited);
  Attach(6);
  ASSERT_TRUE(SayHello(Hello(6)).ok());
  EXPECT_TRUE(Next().has_welcome());
  EXPECT_FALSE(Next().has_publish_result());
  EXPECT_EQ(registry_->serving()->id.number, 1) << "it was committed all the same";
}

TEST_F(TrainerFeedTest, ProgressIsLogged) {
  AddFeedback("a");
  Activate(5);
  v1::TrainerMessage message = Message(5);
  v1::Progress& progress = *message.mutable_progress();
  progress.set_step(3);
  progress.mutable_tokens()->set_response_run(17);
  v1::FeedbackPassCount& count = *progress.add_passes();
  count.set_feedback_id("a");
  count.set_passes(2);
  progress.add_record_reused("a");
  feed_->OnMessage(5, message);
  Settle();
  FeedbackRow row;
  ASSERT_TRUE(InLog([&](FeedbackLog& log) -> absl::Status {
                ASSIGN_OR_RETURN(row, log.feedback().Get("a"));
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(row.passes, 2);
  EXPECT_TRUE(row.record_reused);
  EXPECT_EQ(feed_->steps(), 3);
  EXPECT_EQ(feed_->tokens().response_run(), 17);
}

TEST_F(TrainerFeedTest, CountsThatCannotBeEndTheSession) {
  uint64_t epoch = 5;
  for (const int64_t count : {int64_t{-1}, (int64_t{1} << 40) + 1, INT64_MAX}) {
    Activate(++epoch);
    v1::TrainerMessage message = Message(epoch);
    message.mutable_progress()->mutable_tokens()->set_replay_reused(count);
    feed_->OnMessage(epoch, message);
    Settle();
    EXPECT_FALSE(feed_->active()) << count;
    EXPECT_EQ(feed_->tokens().replay_reused(), 0);
    AttachEvent exited;
    exited.kind = AttachEvent::Kind::kExited;
    exited.session_epoch = epoch;
    feed_->OnAttachEvent(exited);
  }
  Activate(++epoch);
  v1::TrainerMessage message = Message(epoch);
  message.mutable_progress()->set_step(-1);
  feed_->OnMessage(epoch, message);
  EXPECT_FALSE(feed_->active());
  EXPECT_EQ(feed_->steps(), 0);
}

}  // namespace
}  // namespace alchemist
