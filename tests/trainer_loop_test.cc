// TrainerLoop against a server that is only a store, an attach socket and a script of messages, all
// in one process: what no real server does to it.
#include "trainer/trainer_loop.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "activation_store/attach_listener.h"
#include "activation_store/control_pages.h"
#include "activation_store/store.h"
#include "base/captured_log.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/pass_testing.h"
#include "model/random_model.h"
#include "server/link_messages.h"

namespace alchemist {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTokenizer[] = "tokenizer-digest";
constexpr int64_t kLowestTrainedLayer = 1;
constexpr int64_t kPromptRows = 5;
constexpr uint64_t kSession = 1;

// Gives what it was scripted to give, and keeps nothing of what it is sent.
class ScriptedLink final : public ServerLink {
 public:
  std::optional<v1::ServerMessage> Receive(int64_t) override {
    if (script.empty()) return std::nullopt;
    v1::ServerMessage message = std::move(script.front());
    script.pop_front();
    return message;
  }
  bool Send(v1::TrainerMessage message) override {
    on_send(message);
    return true;
  }
  bool ended() const override { return false; }
  void SayGoodbye() override {}
  void Cancel() override {}
  absl::Status Finish() override { return absl::OkStatus(); }

  std::deque<v1::ServerMessage> script;
  std::function<void(const v1::TrainerMessage&)> on_send = [](const v1::TrainerMessage&) {};
};

class TrainerLoopTest : public testing::Test {
 protected:
  TrainerLoopTest() : directory_(absl::StrCat(testing::TempDir(), "/loop-XXXXXX")) {
    PCHECK(mkdtemp(directory_.data()) != nullptr) << directory_;
    CHECK(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), 1, {}, ModelPath()).ok());
    model_ = *Model::Load(ModelPath());
    for (const char* folder : {"/revisions", "/revisions/default"}) {
      PCHECK(mkdir((directory_ + folder).c_str(), 0700) == 0) << folder;
    }
    LoraConfig config;
    config.rank = 2;
    config.targets = {Linear::kQ, Linear::kDown};
    config.lowest_layer = kLowestTrainedLayer;
    adapter_ = *LoraAdapter::Create(model_->config(), config, 1);
    CHECK(adapter_->Save(directory_ + "/revisions/default/0", "base").ok());
    MakeStore();
    Listen();
    attachment_ = *Attachment::Create(socket_, [] {});
    state_ = *TrainerState::Open(directory_ + "/checkpoints", {}, *model_, kTokenizer);
    Begin({});
  }

  // A session of the trainer's.
  void Begin(TrainerOptions options) {
    SendWelcome();
    options.batch.step_interval_us = 0;
    options.batch.pass_interval_us = 0;
    auto loop = TrainerLoop::Create(options, {.attachment = attachment_.get(),
                                              .link = &link_,
                                              .state = state_.get(),
                                              .device = &machine_.device,
                                              .stream = &machine_.stream,
                                              .clock = Clock::Real()});
    CHECK(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }

  std::string ModelPath() const { return directory_ + "/model"; }
  void MakeStore() {
    const ActivationLayout layout(model_->config(), model_->dtype(), kLowestTrainedLayer);
    const int64_t element_bytes = BytesPerElement(layout.dtype());
    StoreOptions options;
    options.layers = layout.layers();
    options.block_layers = layout.layers() + 1;
    options.kv_page_bytes = 2 * kKvPageTokens * layout.kv_width() * element_bytes;
    options.serving_kv_bytes = 1 << 20;
    options.arena_bytes = 2 << 20;
    for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
      for (const TensorSpec& spec : layout.layer(layer)) {
        options.block_tensors.push_back({layer, static_cast<uint32_t>(spec.tensor),
                                         spec.width * BytesPerElement(spec.dtype),
                                         spec.head_rows_only});
      }
    }
    store_ = *ActivationStore::Create(std::move(options), /*canary=*/1);
    // Whatever is recorded holds small numbers: here nobody asks for the right ones.
    Random random(1);
    auto* values = reinterpret_cast<float*>(store_->data());
    for (int64_t i = StoreOptions().page_bytes / 4; i < store_->arena().bytes() / 4; ++i) {
      values[i] = static_cast<float>(0.1 * random.Normal());
    }
  }
  void Listen() {
    server_page_ = *SharedMemory::Create("server-page", kControlPageBytes);
    socket_ = directory_ + "/store.sock";
    AttachListener::Options listen;
    listen.socket_path = socket_;
    AttachReply& reply = listen.reply;
    reply.arena_bytes = store_->arena().bytes();
    reply.page_bytes = StoreOptions().page_bytes;
    reply.generations_bytes = store_->generations().bytes();
    reply.lowest_trained_layer = kLowestTrainedLayer;
    CHECK(CopyToField(ModelPath(), absl::MakeSpan(reply.model_directory), "model").ok());
    CHECK(CopyToField(model_->base_digest(), absl::MakeSpan(reply.base_digest), "base").ok());
    CHECK(CopyToField(kTokenizer, absl::MakeSpan(reply.tokenizer_digest), "tokenizer").ok());
    listen.fds = {store_->arena().fd(), store_->generations().fd(), server_page_.fd()};
    listen.on_event = [](AttachEvent) {};
    listener_ = *AttachListener::Create(std::move(listen));
    listener_->Start();
  }
  void SendWelcome() {
    v1::Welcome& welcome = *link_.script.emplace_back().mutable_welcome();
    *welcome.mutable_base() = Base();
    *welcome.mutable_serving() = Serving();
    welcome.set_revisions_dir(directory_ + "/revisions");
    welcome.set_incoming_dir(directory_ + "/incoming");
  }
  v1::Base Base() const { return ToMessage(BaseId{model_->base_digest(), kTokenizer}); }
  v1::Revision Serving() const { return ToMessage(RevisionId{"default", 0, adapter_->digest()}); }

  RecordDescriptor LeaseNewRecord() {
    const uint64_t record = store_->Begin(
        {"", model_->base_digest(), kTokenizer, "default", 0, adapter_->digest()}, {}, 0);
    CHECK(store_->AppendKvPages(record, kPromptRows));
    CHECK(store_->AppendBlock({{record, 0, kPromptRows, 1}}) != nullptr);
    store_->Seal(record, kPromptRows, {});
    store_->Unpin(record, 0);
    return *store_->Lease(record, kSession);
  }
  v1::FeedbackItem Item(v1::ItemKind kind, const std::string& id,
                        const std::string& completion_id) const {
    v1::FeedbackItem item;
    item.set_kind(kind);
    item.set_item_id(id);
    item.set_completion_id(completion_id);
    *item.mutable_base() = Base();
    *item.mutable_behaviour() = Serving();
    for (int32_t token = 1; token <= kPromptRows; ++token) item.add_prompt_tokens(token);
    for (const int32_t token : {7, 8, 9}) item.add_response_tokens(token);
    return item;
  }
  void SendFeedback() {
    *link_.script.emplace_back().mutable_item() = Item(v1::ITEM_KIND_FEEDBACK, "fb-1", "cmpl-1");
  }
  // Sends one feedback with a leased record, and the empty replay that it waits for. Returns the
  // record as it was leased.
  RecordDescriptor SendItemWithRecord() {
    const RecordDescriptor lease = LeaseNewRecord();
    SendFeedback();
    *link_.script.back().mutable_item()->mutable_record() = ToMessage(lease);
    link_.script.emplace_back().mutable_replay_batch();
    return lease;
  }
  RecordDescriptor SendReplayWithRecord() {
    const RecordDescriptor lease = LeaseNewRecord();
    v1::FeedbackItem& item = *link_.script.emplace_back().mutable_replay_batch()->add_items();
    item = Item(v1::ITEM_KIND_REPLAY, "cmpl-2", "cmpl-2");
    *item.mutable_record() = ToMessage(lease);
    return lease;
  }
  void FillWithNan(const RecordDescriptor& record) {
    for (const KvPageSlot& page : record.kv_pages) {
      auto* values = reinterpret_cast<float*>(store_->data() + page.offset);
      std::fill_n(values, page.bytes / sizeof(float), std::nanf(""));
    }
  }
  // The page has other content from here on, as its generation says first.
  void Overwrite(const KvPageSlot& page) {
    auto* table = reinterpret_cast<std::atomic<uint64_t>*>(store_->generations().writable_data());
    table[page.offset / static_cast<uint64_t>(StoreOptions().page_bytes)].fetch_add(1);
  }
  // Until everything that was sent is taken and acted on.
  void RunTurns() {
    for (int turn = 0; turn < 3; ++turn) {
      const absl::Status status = loop_->RunOnce(/*wait_us=*/0);
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  std::string directory_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<LoraAdapter> adapter_;
  std::unique_ptr<ActivationStore> store_;
  SharedMemory server_page_;
  std::string socket_;
  std::unique_ptr<AttachListener> listener_;
  std::unique_ptr<Attachment> attachment_;
  std::unique_ptr<TrainerState> state_;
  TestMachine machine_;
  ScriptedLink link_;
  std::unique_ptr<TrainerLoop> loop_;
};

TEST_F(TrainerLoopTest, AServedRecordMakesAStep) {
  SendItemWithRecord();
  int64_t released = 0;
  link_.on_send = [&](const v1::TrainerMessage& message) { released += message.has_release(); };
  RunTurns();
  EXPECT_GE(state_->step(), 1);
  EXPECT_GT(released, 1);
  EXPECT_GE(state_->pass_book().Get("fb-1").passes, 1);
}

TEST_F(TrainerLoopTest, WhatIsWrongWithAnItemIsLoggedWithItsIds) {
  CapturedLog log;
  SendItemWithRecord();
  v1::FeedbackItem& item = *link_.script[0].mutable_item();
  item.mutable_record()->set_tokens(kPromptRows + 1);
  v1::FeedbackItem& replay = *link_.script.back().mutable_replay_batch()->add_items();
  replay = Item(v1::ITEM_KIND_REPLAY, "cmpl-2", "cmpl-2");
  replay.set_response_tokens(0, -1);
  RunTurns();
  EXPECT_THAT(log.Take(),
              ElementsAre(HasSubstr("replayed completion cmpl-2: INVALID_ARGUMENT"),
                          HasSubstr("feedback fb-1 on completion cmpl-1 revision 0: record 1 is "
                                    "not used: ")));
  EXPECT_GE(state_->step(), 1) << "without record and replay";
}

TEST_F(TrainerLoopTest, WhatSupersedesWhatIsLogged) {
  SendFeedback();
  v1::FeedbackItem& correction = *link_.script.emplace_back().mutable_item();
  correction = Item(v1::ITEM_KIND_FEEDBACK, "fb-2", "cmpl-1");
  correction.set_is_correction(true);
  CapturedLog log;
  RunTurns();
  EXPECT_THAT(log.Take(), Contains("I feedback fb-1 on completion cmpl-1 revision 0 is superseded "
                                   "by feedback fb-2"));
}

TEST_F(TrainerLoopTest, ReplayIsAskedForWithoutRecordsThatNobodyWouldRead) {
  for (const double repeat_drift_max : {0.0, 0.5}) {
    TrainerOptions options;
    options.repeat_drift_max = repeat_drift_max;
    Begin(options);
    SendFeedback();
    std::vector<v1::ItemRequest> asked;
    link_.on_send = [&](const v1::TrainerMessage& message) {
      if (message.item_request().replay_items() > 0) asked.push_back(message.item_request());
    };
    RunTurns();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].replay_records(), repeat_drift_max > 0);
  }
}

TEST_F(TrainerLoopTest, APausedTrainerHoldsNoReplayAndAsksAgainAfterwards) {
  SendFeedback();
  int asked = 0;
  link_.on_send = [&](const v1::TrainerMessage& message) {
    asked += message.item_request().replay_items() > 0;
    if (!message.has_release()) return;
    const v1::Release& release = message.release();
    store_->Release(kSession, release.lease_id(), release.first_layer(), release.layers());
  };
  RunTurns();
  ASSERT_EQ(asked, 1);
  SendReplayWithRecord();  // It comes before the pause,
  link_.script.emplace_back().mutable_control()->set_paused(true);
  RunTurns();
  EXPECT_EQ(store_->ledger().leases, 0);
  SendReplayWithRecord();  // and during it.
  RunTurns();
  EXPECT_EQ(store_->ledger().leases, 0);
  EXPECT_EQ(asked, 1);
  link_.script.emplace_back().mutable_control()->set_paused(false);
  RunTurns();
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(state_->step(), 0);
  SendReplayWithRecord();
  RunTurns();
  EXPECT_GE(state_->step(), 1);
  EXPECT_EQ(store_->ledger().leases, 0);
}

TEST_F(TrainerLoopTest, ReplayDrawnBeforeARollbackIsNotTrained) {
  SendFeedback();
  RunTurns();
  SendReplayWithRecord();
  *link_.script.emplace_back().mutable_rollback()->mutable_revision() = Serving();
  int asked = 0;
  link_.on_send = [&](const v1::TrainerMessage& message) {
    asked += message.item_request().replay_items() > 0;
  };
  RunTurns();
  EXPECT_EQ(asked, 1) << "for what may be replayed now";
  EXPECT_EQ(state_->step(), 0);
}

TEST_F(TrainerLoopTest, AReplayedAnswerWhoseLossIsNotFiniteIsLeftOutAndNobodyElseSuffers) {
  SendFeedback();
  std::vector<uint64_t> leases;
  const auto send_replay = [&] {
    const RecordDescriptor lease = SendReplayWithRecord();
    FillWithNan(lease);
    leases.push_back(lease.lease_id);
  };
  send_replay();
  CapturedLog log;
  int asked = 0;
  std::set<uint64_t> released;
  link_.on_send = [&](const v1::TrainerMessage& message) {
    asked += message.item_request().replay_items() > 0;
    if (message.has_release()) released.insert(message.release().lease_id());
  };
  RunTurns();
  EXPECT_EQ(state_->step(), 0);
  EXPECT_EQ(asked, 1) << "for other replay: the feedback is not alone";
  EXPECT_THAT(log.Take(), ElementsAre(HasSubstr("of 2 items is not finite: step 1 is skipped"),
                                      "E replayed completion cmpl-2 revision 0 is left out: its "
                                      "loss is not finite"));
  send_replay();  // The same answer again.
  RunTurns();
  EXPECT_GE(state_->step(), 1);
  EXPECT_EQ(released, std::set<uint64_t>(leases.begin(), leases.end()));
}

TEST_F(TrainerLoopTest, ReplayIsNotBlamedWhereTheFeedbackIsNotFiniteEither) {
  FillWithNan(SendItemWithRecord());
  link_.script.pop_back();  // Not the empty replay.
  FillWithNan(SendReplayWithRecord());
  RunTurns();  // It is tried again alone, from its tokens.
  EXPECT_GE(state_->step(), 1);
}

TEST_F(TrainerLoopTest, APausedTrainerKeepsNoMemoryOfItsSteps) {
  const int64_t before = machine_.device.bytes_allocated();
  SendFeedback();
  link_.script.emplace_back().mutable_replay_batch();
  RunTurns();
  EXPECT_GE(state_->step(), 1);
  EXPECT_GT(machine_.device.bytes_allocated(), before) << "kept for the next step";
  link_.script.emplace_back().mutable_control()->set_paused(true);
  RunTurns();
  EXPECT_EQ(machine_.device.bytes_allocated(), before);
}

class StalePageTest : public TrainerLoopTest, public testing::WithParamInterface<int64_t> {};

// I9, also for layers that no adapter trains: the responses' forward reads their K/V.
TEST_P(StalePageTest, AStepIsVoidWhenAPageOfTheLayerChangesUnderIt) {
  CapturedLog log;
  const RecordDescriptor lease = SendItemWithRecord();
  bool overwritten = false;
  link_.on_send = [&](const v1::TrainerMessage& message) {
    // At the first release forward passes and head have read everything.
    if (!message.has_release() || std::exchange(overwritten, true)) return;
    for (const KvPageSlot& page : lease.kv_pages) {
      if (page.layer == GetParam()) Overwrite(page);
    }
  };
  while (!overwritten) {
    const absl::Status status = loop_->RunOnce(/*wait_us=*/0);
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(state_->step(), 0);
  EXPECT_EQ(state_->pass_book().Get("fb-1").passes, 0) << "it was committed";
  EXPECT_THAT(log.Take(),
              Contains(HasSubstr("feedback fb-1 on completion cmpl-1 revision 0: record 1: ")));
  link_.script.emplace_back().mutable_replay_batch();
  RunTurns();  // Without the record.
  EXPECT_GE(state_->pass_book().Get("fb-1").passes, 1);
}

INSTANTIATE_TEST_SUITE_P(Layers, StalePageTest, testing::Range<int64_t>(0, 3));

}  // namespace
}  // namespace alchemist
