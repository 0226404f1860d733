// TrainerFeedTest: a TrainerFeed with a real log, store and publisher, and no trainer: tests say
// what one would, and look into the outbox. One thread, but for the log's own.
#ifndef ALCHEMIST_SERVER_TRAINER_FEED_TESTING_H_
#define ALCHEMIST_SERVER_TRAINER_FEED_TESTING_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bounded_queue.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "model/random_model.h"
#include "server/log_testing.h"
#include "server/publisher.h"
#include "server/trainer_feed.h"

namespace alchemist {

inline constexpr uint64_t kFeedStoreEpoch = 11;
inline constexpr uint64_t kFeedCanary = 22;
inline constexpr int64_t kFeedWaitUs = 20'000'000;

class TrainerFeedTest : public testing::Test {
 protected:
  TrainerFeedTest() : directory_(FreshDirectory()) {
    StoreOptions store;
    store.layers = 1;
    store.block_layers = 2;
    store.kv_page_bytes = 4096;
    store.serving_kv_bytes = 4096;
    store.arena_bytes = 64 * 4096;
    store.block_tensors = {{0, 0, 32, false}};
    store_ = *ActivationStore::Create(store, kFeedCanary);
    server_page_ = *SharedMemory::Create("server-page", kControlPageBytes);
    const std::string model = directory_ + "/model";
    CHECK(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), 1, {}, model).ok());
    model_ = *Model::Load(model);
    log_ = *LogThread::Start(directory_, {});
    AdapterRegistry::Options options;
    options.data_dir = directory_;
    options.revisions_kept = 2;
    options.adapter.rank = 2;
    options.adapter.targets = {Linear::kQ};
    CHECK(InLog([&](FeedbackLog& log) -> absl::Status {
            ASSIGN_OR_RETURN(registry_, AdapterRegistry::Open(options, model_.get(), &clock_, log));
            return absl::OkStatus();
          }).ok());
    publisher_ = std::make_unique<Publisher>(registry_.get(), log_.get());
    TrainerFeed::Parts parts;
    parts.store = store_.get();
    parts.registry = registry_.get();
    parts.log = log_.get();
    parts.publisher = publisher_.get();
    parts.clock = &clock_;
    parts.server_page = reinterpret_cast<ServerPage*>(server_page_.writable_data());
    parts.store_epoch = kFeedStoreEpoch;
    parts.canary = kFeedCanary;
    parts.base = {"base-digest", "tokenizer-digest"};
    parts.kernels = "some kernels";
    parts.post_to_loop = [this](std::function<void()> command) {
      loop_.TryPush(std::move(command));
    };
    parts.kill_trainer = [this](uint64_t epoch) { killed_.push_back(epoch); };
    parts.end_attachment = [this](uint64_t epoch) { ended_.push_back(epoch); };
    feed_ = std::make_unique<TrainerFeed>(std::move(parts));
  }
  ~TrainerFeedTest() override { log_->Stop().IgnoreError(); }

  // Runs `work` on the log thread and waits for its commit.
  absl::Status InLog(LogWork work) {
    BoundedQueue<absl::Status> done(1);
    RETURN_IF_ERROR(
        log_->Post(std::move(work), [&](absl::Status status) { done.TryPush(std::move(status)); }));
    return done.Pop(kFeedWaitUs).value_or(absl::DeadlineExceededError("the log"));
  }
  // Runs what the publisher and the log thread have and what they post, until everything that is
  // queued there now, and what its answers queue, is done.
  void Settle() {
    for (int round = 0; round < 4; ++round) {
      publisher_->RunOnce(0);
      CHECK(InLog([](FeedbackLog&) { return absl::OkStatus(); }).ok());
      while (std::optional<std::function<void()>> command = loop_.TryPop()) (*command)();
    }
  }

  void Attach(uint64_t epoch) {
    AttachEvent event;
    event.session_epoch = epoch;
    event.secret.fill(static_cast<uint8_t>(epoch));
    feed_->OnAttachEvent(event);
    sequence_ = 0;
  }
  v1::TrainerMessage Message(uint64_t epoch) {
    v1::TrainerMessage message;
    message.mutable_epochs()->set_store_epoch(kFeedStoreEpoch);
    message.mutable_epochs()->set_session_epoch(epoch);
    message.set_sequence(++sequence_);
    return message;
  }
  v1::TrainerMessage Hello(uint64_t epoch) {
    v1::TrainerMessage message = Message(epoch);
    message.mutable_hello()->set_session_secret(std::string(16, static_cast<char>(epoch)));
    message.mutable_hello()->set_canary(kFeedCanary);
    return message;
  }
  // What the hello is answered; makes a new outbox.
  absl::Status SayHello(const v1::TrainerMessage& hello) {
    outbox_ = std::make_shared<LinkOutbox>(kLinkOutboxMax);
    absl::Status answer = absl::UnknownError("no answer");
    feed_->OnHello(hello, outbox_, [&](absl::Status status) { answer = std::move(status); });
    Settle();
    return answer;
  }
  void Activate(uint64_t epoch) {
    Attach(epoch);
    const absl::Status status = SayHello(Hello(epoch));
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(Next().has_welcome());
  }
  v1::ServerMessage Next() {
    std::optional<v1::ServerMessage> message = outbox_->TryPop();
    return message.has_value() ? *std::move(message) : v1::ServerMessage();
  }
  void Ask(uint64_t epoch, int64_t feedback, int64_t replay = 0, bool replay_records = true) {
    v1::TrainerMessage message = Message(epoch);
    message.mutable_item_request()->set_feedback_items(feedback);
    message.mutable_item_request()->set_replay_items(replay);
    message.mutable_item_request()->set_replay_records(replay_records);
    feed_->OnMessage(epoch, message);
    Tick();
  }
  void Tick() {
    feed_->Tick();
    Settle();
  }
  // The ids of the feedback items that were sent and not yet looked at.
  std::vector<std::string> ItemIds() {
    std::vector<std::string> ids;
    while (std::optional<v1::ServerMessage> message = outbox_->TryPop()) {
      EXPECT_TRUE(message->has_item()) << message->ShortDebugString();
      ids.push_back(message->item().item_id());
    }
    return ids;
  }
  void AddFeedback(const std::string& id) {
    const absl::Status added = InLog([&](FeedbackLog& log) -> absl::Status {
      RETURN_IF_ERROR(log.completions().Add(TestCompletion("of-" + id)));
      return log.feedback().Add(TestRating(id, "of-" + id, 1)).status();
    });
    ASSERT_TRUE(added.ok()) << added;
    feed_->OnFeedbackCommitted(v1::DISPOSITION_RECORD_HELD, /*trainable=*/true);
  }
  // A sealed record of `rows` rows; the completion's.
  uint64_t AddRecord(const std::string& completion_id, uint64_t revision = 0) {
    RecordIdentity identity;
    identity.revision = revision;
    const uint64_t id = store_->Begin(identity, {}, 0);
    CHECK(store_->AppendKvPages(id, 3));
    CHECK(store_->AppendBlock({{id, 0, 3, 1}}) != nullptr);
    store_->Seal(id, 3, {});
    store_->Unpin(id, 0);
    feed_->OnFinished(completion_id, {.prompt = id});
    return id;
  }
  // The completion's prompt and its answer.
  CompletionRecords AddRecordWithAnswer(const std::string& completion_id) {
    CompletionRecords records = {.prompt = AddRecord(completion_id)};
    records.response = store_->BeginResponse(records.prompt, 0);
    CHECK(store_->AppendKvPages(records.response, 5));
    CHECK(store_->AppendBlock({{records.response, 3, 2, 2}}) != nullptr);
    store_->Seal(records.response, 5, {});
    store_->Unpin(records.response, 0);
    feed_->OnFinished(completion_id, records);
    return records;
  }

  // A candidate as the trainer writes it: the serving weights, moved.
  v1::Publish Candidate(const std::string& name, float moved) {
    std::unique_ptr<LoraAdapter> adapter = registry_->serving()->adapter->Clone();
    adapter->MutableB(0, Linear::kQ).Row<float>(0)[0] = moved;
    adapter->UpdateDigest();
    CHECK(adapter->Save(absl::StrCat(registry_->incoming_dir(), "/", name), "base").ok());
    v1::Publish publish;
    publish.set_request_id(++requests_);
    publish.set_directory(name);
    publish.set_parent(static_cast<uint64_t>(registry_->serving()->id.number));
    publish.set_digest(adapter->digest());
    publish.set_step(1);
    return publish;
  }
  void Send(uint64_t epoch, const v1::Publish& publish) {
    v1::TrainerMessage message = Message(epoch);
    *message.mutable_publish() = publish;
    feed_->OnMessage(epoch, message);
  }
  v1::PublishResult PublishAndWait(uint64_t epoch, const v1::Publish& publish) {
    Send(epoch, publish);
    Settle();
    const v1::ServerMessage answer = Next();
    EXPECT_EQ(answer.publish_result().request_id(), publish.request_id());
    return answer.publish_result();
  }
  int64_t ServingInLog() {
    int64_t number = -1;
    CHECK(InLog([&](FeedbackLog& log) -> absl::Status {
            ASSIGN_OR_RETURN(const AdapterRow row, log.revisions().FindAdapter(kDefaultAdapter));
            number = row.serving.number;
            return absl::OkStatus();
          }).ok());
    return number;
  }

  const std::string directory_;
  ManualClock clock_;
  std::unique_ptr<ActivationStore> store_;
  SharedMemory server_page_;
  std::unique_ptr<const Model> model_;
  BoundedQueue<std::function<void()>> loop_{1000};
  std::unique_ptr<LogThread> log_;
  std::unique_ptr<AdapterRegistry> registry_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<TrainerFeed> feed_;
  std::shared_ptr<LinkOutbox> outbox_;
  uint64_t sequence_ = 0;
  uint64_t requests_ = 0;
  std::vector<uint64_t> killed_, ended_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_TRAINER_FEED_TESTING_H_
