// A record on its way: written by the server's batcher, leased, sent as a message, mapped by the
// trainer's reader. What arrives has the bits of the trainer's own forward pass; a message that
// says anything else than the truth is refused. Both ends in one process.
#include <unistd.h>

#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "activation_store/attach_listener.h"
#include "activation_store/control_pages.h"
#include "activation_store/reader.h"
#include "base/logging.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "model/pass_testing.h"
#include "server/batcher_testing.h"
#include "server/link_messages.h"
#include "trainer/record_view.h"
#include "trainer/training_step.h"

namespace alchemist {
namespace {

constexpr uint64_t kEpoch = 1;

// A server without daemons, and a reader attached to its store.
class Lending {
 public:
  explicit Lending(TestServingOptions options) : serving_(std::move(options)) {
    server_page_ = *SharedMemory::Create("server-page", kControlPageBytes);
    const ActivationStore& store = serving_.store();
    AttachListener::Options listen;
    listen.socket_path = absl::StrCat(testing::TempDir(), "/lend.", getpid(), ".sock");
    listen.reply.arena_bytes = store.arena().bytes();
    listen.reply.page_bytes = StoreOptions().page_bytes;
    listen.reply.generations_bytes = store.generations().bytes();
    listen.fds = {store.arena().fd(), store.generations().fd(), server_page_.fd()};
    listen.on_event = [](AttachEvent) {};
    const std::string path = listen.socket_path;
    listener_ = *AttachListener::Create(std::move(listen));
    listener_->Start();
    auto reader = StoreReader::Attach(path);
    CHECK(reader.ok()) << reader.status();
    reader_ = *std::move(reader);
  }

  // Serves a prompt and leases its record, as the message that the trainer gets.
  v1::RecordRef Lend(const CompletionRequest& request) {
    serving_.Add(request);
    serving_.RunAll();
    return Lease(serving_.finished().back().record_id);
  }
  v1::RecordRef Lease(uint64_t record) {
    const auto lease = serving_.store().Lease(record, kEpoch);
    CHECK(lease.ok()) << lease.status();
    const std::string bytes = ToMessage(*lease).SerializeAsString();
    v1::RecordRef message;
    CHECK(message.ParseFromString(bytes));
    return message;
  }
  absl::StatusOr<RecordView> Map(const v1::RecordRef& message, int64_t rows) const {
    ASSIGN_OR_RETURN(ServedRecord record, MapWithAnswer(message, rows, /*response_rows=*/0));
    return std::move(record.prompt);
  }
  absl::StatusOr<ServedRecord> MapWithAnswer(const v1::RecordRef& message, int64_t prompt_rows,
                                             int64_t response_rows) const {
    return MapServedRecord(*reader_, DescriptorOf(message), serving_.layout(), prompt_rows,
                           response_rows);
  }
  TestServing& serving() { return serving_; }
  const StoreReader& reader() const { return *reader_; }

 private:
  TestServing serving_;
  SharedMemory server_page_;
  std::unique_ptr<AttachListener> listener_;
  std::unique_ptr<StoreReader> reader_;
};

std::vector<float> Flatten(const std::vector<KvRun>& runs) {
  std::vector<float> values;
  for (const KvRun& run : runs) {
    for (const ConstTensorView& view : {run.k, run.v}) {
      const std::vector<float> of_view = Flatten(RowPieces(view));
      values.insert(values.end(), of_view.begin(), of_view.end());
    }
  }
  return values;
}

// K and V by themselves, so that pages and one whole run compare.
std::vector<float> FlattenKv(const std::vector<KvRun>& runs, bool keys) {
  std::vector<KvRun> half = runs;
  for (KvRun& run : half) (keys ? run.v : run.k).rows = 0;
  return Flatten(half);
}

void ExpectSameRecord(const RecordView& got, const RecordView& own, const std::string& what) {
  ASSERT_EQ(got.activations.size(), own.activations.size());
  for (size_t layer = 0; layer < own.activations.size(); ++layer) {
    for (int tensor = 0; tensor < kActivationTensors; ++tensor) {
      const std::string name = absl::StrCat(what, ", layer ", layer, " tensor ", tensor);
      EXPECT_EQ(got.activations[layer][tensor].rows(), own.activations[layer][tensor].rows())
          << name;
      ExpectSameBits(name.c_str(), Flatten(got.activations[layer][tensor]),
                     Flatten(own.activations[layer][tensor]));
    }
  }
  ASSERT_EQ(got.kv.size(), own.kv.size());
  for (size_t layer = 0; layer < own.kv.size(); ++layer) {
    for (const bool keys : {true, false}) {
      const std::string name = absl::StrCat(what, ", layer ", layer, keys ? " k" : " v");
      ExpectSameBits(name.c_str(), FlattenKv(got.kv[layer], keys), FlattenKv(own.kv[layer], keys));
    }
  }
}

// `served` is what a forward pass of this process records of `prompt`.
void ExpectPromptRecord(const TestServing& serving, const RecordView& served,
                        const std::vector<int32_t>& prompt, const std::string& what) {
  TestMachine machine;
  TestForest forest(
      serving.model(),
      {{-1, prompt, {static_cast<int32_t>(prompt.size() - 1)}, serving.revision()->adapter.get()}},
      &machine, serving.layout().lowest_trained_layer());
  forest.Forward(0);
  ExpectSameRecord(served, ViewOwnRecord(forest.record(), 0), what);
}

class ServedRecordTest : public testing::TestWithParam<PassTestParam> {};

TEST_P(ServedRecordTest, IsBitwiseWhatTheTrainersOwnForwardPassRecords) {
  for (const int64_t rows_per_step : {7, 512}) {
    TestServingOptions options;
    options.family = GetParam().family;
    options.dtype = GetParam().dtype;
    options.batcher.scheduler.rows_per_step = rows_per_step;
    Lending lending(options);
    TestServing& serving = lending.serving();
    for (const int64_t rows : {1, 31, 32, 33, 64, 65}) {
      const CompletionRequest request = serving.Request(rows, 3);
      const auto served = lending.Map(lending.Lend(request), rows);
      ASSERT_TRUE(served.ok()) << served.status();
      ExpectPromptRecord(serving, *served, request.prompt_tokens,
                         absl::StrCat(rows, " rows in steps of ", rows_per_step));
    }
  }
}

// Prompts that go on from one another, from the middle of a run, of a record and of its parent.
TEST_P(ServedRecordTest, IsTheSameWhereItGoesOnFromOtherRecords) {
  for (const int64_t rows_per_step : {50, 512}) {
    TestServingOptions options;
    options.family = GetParam().family;
    options.dtype = GetParam().dtype;
    options.batcher.scheduler.rows_per_step = rows_per_step;
    Lending lending(options);
    TestServing& serving = lending.serving();
    std::vector<std::vector<int32_t>> prompts = {serving.Request(150, 1).prompt_tokens};
    const auto go_on = [&](size_t prompt, int64_t shared, int64_t rows) {
      std::vector<int32_t> tokens = serving.Request(rows, 1, prompts.size() + 7).prompt_tokens;
      std::copy_n(prompts[prompt].begin(), shared, tokens.begin());
      prompts.push_back(std::move(tokens));
    };
    go_on(0, 140, 170);  // Uses 128.
    go_on(1, 170, 192);  // Its last token is run: 128 of the root.
    go_on(2, 192, 230);  // Uses 192.
    go_on(3, 130, 131);
    go_on(3, 100, 240);  // Uses 64.
    const int64_t cached[] = {0, 128, 128, 192, 128, 64};
    for (size_t i = 0; i < prompts.size(); ++i) {
      const std::string what = absl::StrCat("prompt ", i, " in steps of ", rows_per_step);
      CompletionRequest request = serving.Request(1, 3);
      request.prompt_tokens = prompts[i];
      const int64_t rows = static_cast<int64_t>(prompts[i].size());
      const auto before = serving.batcher().counters().prefix_tokens;
      const v1::RecordRef message = lending.Lend(request);
      EXPECT_EQ(serving.batcher().counters().prefix_tokens - before, cached[i]) << what;
      EXPECT_EQ(message.parent_tokens(), cached[i]) << what;
      const auto served = lending.Map(message, rows);
      ASSERT_TRUE(served.ok()) << served.status();
      ExpectPromptRecord(serving, *served, request.prompt_tokens, what);
    }
  }
}

// With record=all. The answer is long enough for several blocks and pages.
TEST_P(ServedRecordTest, OfAnAnswerIsBitwiseWhatDecodeRowsMake) {
  constexpr int64_t kAnswer = 70;  // Its last token is never run.
  for (const int64_t running_max : {1, 5}) {
    TestServingOptions options;
    options.family = GetParam().family;
    options.dtype = GetParam().dtype;
    options.record_pages = 16'384;
    options.batcher.record = RecordMode::kAll;
    options.batcher.running_max = running_max;
    Lending lending(options);
    TestServing& serving = lending.serving();
    std::vector<std::shared_ptr<CompletionStream>> streams;
    for (const int64_t rows : {1, 31, 32, 33, 65}) {
      streams.push_back(serving.Add(serving.Request(rows, kAnswer)));
    }
    for (int round = 0; round < 20; ++round) {
      serving.RunAll();
      for (const auto& stream : streams) TestServing::AnswerOf(*stream);
    }
    ASSERT_EQ(serving.finished().size(), 5u);
    EXPECT_EQ(serving.batcher().counters().answers_recorded, 5);
    for (const FinishedCompletion& finished : serving.finished()) {
      const CompletionRow& row = finished.row;
      const int64_t rows = static_cast<int64_t>(row.prompt_tokens.size());
      const std::string what = absl::StrCat(rows, " rows, ", running_max, " at once");
      const v1::RecordRef message = lending.Lease(finished.response_record_id);
      const auto served = lending.MapWithAnswer(message, rows, kAnswer - 1);
      ASSERT_TRUE(served.ok()) << served.status();
      ASSERT_TRUE(served->response.has_value());
      TestNode answer = {0, row.response_tokens, {}, serving.revision()->adapter.get()};
      answer.tokens.pop_back();
      answer.head_rows.resize(answer.tokens.size());
      std::iota(answer.head_rows.begin(), answer.head_rows.end(), 0);
      TestMachine machine;
      TestForest forest(serving.model(),
                        {{-1,
                          row.prompt_tokens,
                          {static_cast<int32_t>(rows - 1)},
                          serving.revision()->adapter.get()},
                         answer},
                        &machine, serving.layout().lowest_trained_layer());
      forest.Forward(0);
      forest.ForwardTogether(1, 2, RowPhase::kDecode);
      ExpectSameRecord(served->prompt, ViewOwnRecord(forest.record(), 0), what + ", prompt");
      ExpectSameRecord(*served->response, ViewOwnRecord(forest.record(), 1), what + ", answer");

      // And training runs no forward: its gradient is that of these records.
      TrainingItem item;
      item.completion_id = row.completion_id;
      item.prompt_tokens = row.prompt_tokens;
      item.response_tokens = row.response_tokens;
      const LoraAdapter& adapter = *serving.revision()->adapter;
      const auto step = TrainingStep::Create(&serving.model(), &serving.layout(), /*rows_max=*/512,
                                             &machine.device, &machine.stream);
      ASSERT_TRUE(step.ok()) << step.status();
      AdapterGradients gradients(adapter);
      const auto outcome = (*step)->Run({{&item, &adapter, &served->prompt, &*served->response}},
                                        &gradients, nullptr);
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      EXPECT_EQ(outcome->response_rows_read, kAnswer - 1);
      EXPECT_EQ(outcome->response_rows_run + outcome->prompt_rows_run, 0);
      std::vector<TrainedToken> trained = {{0, 0, row.response_tokens[0]}};
      for (int64_t t = 1; t < kAnswer; ++t) trained.push_back({1, t - 1, row.response_tokens[t]});
      const TestGradients wanted = BackwardForTest(
          serving.model(), forest.Nodes(), trained, std::vector<float>(kAnswer, 1.0f / kAnswer),
          adapter, &machine, serving.layout().lowest_trained_layer());
      ExpectSameBits(what.c_str(), Flatten(gradients), Flatten(*wanted.adapter));
    }
  }
}

// The reverse: nothing of a lent record is carried along unread.
TEST_P(ServedRecordTest, AFlippedBitInALeasedPageChangesTheGradient) {
  constexpr int64_t kRows = 33;
  TestServingOptions options;
  options.family = GetParam().family;
  options.dtype = GetParam().dtype;
  Lending lending(options);
  TestServing& serving = lending.serving();
  const CompletionRequest request = serving.Request(kRows, 3);
  const v1::RecordRef message = lending.Lend(request);
  const auto served = lending.Map(message, kRows);
  ASSERT_TRUE(served.ok()) << served.status();

  TrainingItem item;
  item.completion_id = "completion";
  item.prompt_tokens = request.prompt_tokens;
  Random random(3);
  item.response_tokens = RandomTokens(4, serving.model().config().vocab, &random);
  const LoraAdapter& adapter = *serving.revision()->adapter;
  TestMachine machine;
  const auto step = TrainingStep::Create(&serving.model(), &serving.layout(), /*rows_max=*/512,
                                         &machine.device, &machine.stream);
  ASSERT_TRUE(step.ok()) << step.status();
  const auto gradient = [&] {
    AdapterGradients gradients(adapter);
    const auto outcome = (*step)->Run({{&item, &adapter, &*served}}, &gradients, nullptr);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->prompt_rows_read, kRows);
    return Flatten(gradients);
  };
  const std::vector<float> wanted = gradient();
  const auto expect_used = [&](uint64_t offset, DType dtype, const std::string& what) {
    // Both types have 8 bits of exponent: the mantissa's top bit is in the element's upper half.
    std::byte& upper = serving.store().data()[offset + BytesPerElement(dtype) - 2];
    upper ^= std::byte{0x40};
    EXPECT_NE(gradient(), wanted) << what;
    upper ^= std::byte{0x40};
  };
  int tensors = 0;
  for (const v1::LayerRef& layer : message.runs(0).layers()) {
    for (const v1::TensorRef& tensor : layer.tensors()) {
      const RowPieces& pieces = served->activations[layer.layer()][tensor.tensor()];
      expect_used(tensor.offset(), pieces.dtype(),
                  absl::StrCat("layer ", layer.layer(), " tensor ", tensor.tensor()));
      ++tensors;
    }
  }
  for (const v1::KvPageRef& page : message.kv_pages()) {
    const std::string where =
        absl::StrCat("layer ", page.layer(), " position ", page.first_position());
    expect_used(page.offset(), GetParam().dtype, where + " k");
    expect_used(page.offset() + page.bytes() / 2, GetParam().dtype, where + " v");
  }
  EXPECT_GE(tensors, 5 * serving.model().config().layers);
  ExpectSameBits("after all flips back", gradient(), wanted);
}

INSTANTIATE_TEST_SUITE_P(Families, ServedRecordTest, testing::ValuesIn(kPassTestParams),
                         kPassTestName);

class MalformedRecordTest : public testing::Test {
 protected:
  static constexpr int64_t kRows = 40;

  MalformedRecordTest() : lending_(ChunksOf15()), valid_(lending_.Lend(Request())) {}

  static TestServingOptions ChunksOf15() {
    TestServingOptions options;
    options.batcher.scheduler.rows_per_step = 15;  // Runs of 15, 15 and 10 rows.
    return options;
  }
  CompletionRequest Request() { return lending_.serving().Request(kRows, 2); }
  static v1::TensorRef* Tensor(v1::RecordRef& record, int run, int64_t layer, int tensor) {
    for (v1::LayerRef& ref : *record.mutable_runs(run)->mutable_layers()) {
      if (ref.layer() == layer) return ref.mutable_tensors(tensor);
    }
    LOG(FATAL) << "no layer " << layer;
    return nullptr;
  }

  Lending lending_;
  const v1::RecordRef valid_;
};

struct Case {
  const char* what;
  absl::StatusCode code;
  std::function<void(v1::RecordRef&)> spoil;
};

TEST_F(MalformedRecordTest, EveryUntruthIsATypedError) {
  ASSERT_TRUE(lending_.Map(valid_, kRows).ok());
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kRange = absl::StatusCode::kOutOfRange;
  constexpr auto kStale = absl::StatusCode::kFailedPrecondition;
  const uint64_t arena_bytes = lending_.reader().info().arena_bytes;
  const Case cases[] = {
      {"other tokens", kInvalid, [](auto& r) { r.set_tokens(kRows - 1); }},
      {"no runs", kInvalid, [](auto& r) { r.clear_runs(); }},
      {"a run missing at the end", kInvalid, [](auto& r) { r.mutable_runs()->RemoveLast(); }},
      {"a gap between runs", kInvalid, [](auto& r) { r.mutable_runs()->DeleteSubrange(1, 1); }},
      {"runs out of order", kInvalid, [](auto& r) { r.mutable_runs()->SwapElements(0, 1); }},
      {"a run of no rows", kInvalid, [](auto& r) { r.mutable_runs(0)->set_rows(0); }},
      {"a run of negative rows", kInvalid, [](auto& r) { r.mutable_runs(0)->set_rows(-15); }},
      {"a huge run", kInvalid, [](auto& r) { r.mutable_runs(2)->set_rows(INT64_MAX); }},
      {"a run that overlaps", kInvalid, [](auto& r) { r.mutable_runs(1)->set_first_position(14); }},
      {"a missing layer", kInvalid,
       [](auto& r) { r.mutable_runs(1)->mutable_layers()->RemoveLast(); }},
      {"a layer of no model", kInvalid,
       [](auto& r) { r.mutable_runs(1)->mutable_layers(0)->set_layer(INT64_MAX); }},
      {"a negative layer", kInvalid,
       [](auto& r) { r.mutable_runs(1)->mutable_layers(0)->set_layer(-1); }},
      {"a missing tensor", kInvalid,
       [](auto& r) {
         r.mutable_runs(1)->mutable_layers(0)->mutable_tensors()->DeleteSubrange(2, 1);
       }},
      {"an unknown tensor", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_tensor(99); }},
      {"fewer rows of a tensor", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_rows(14); }},
      {"negative rows of a tensor", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_rows(-1); }},
      {"another first row", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_first_row(1); }},
      {"other bytes", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_bytes(64); }},
      {"no bytes", kRange, [](auto& r) { Tensor(r, 0, 1, 2)->set_bytes(0); }},
      {"an odd offset", kInvalid,
       [](auto& r) { Tensor(r, 0, 1, 2)->set_offset(Tensor(r, 0, 1, 2)->offset() + 1); }},
      {"an offset outside", kRange,
       [=](auto& r) { Tensor(r, 0, 1, 2)->set_offset(arena_bytes - 4); }},
      {"an offset that wraps", kRange, [](auto& r) { Tensor(r, 0, 1, 2)->set_offset(~0ull - 3); }},
      {"no tier", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_residency(0); }},
      {"another tier", kInvalid, [](auto& r) { Tensor(r, 0, 1, 2)->set_residency(kOnHost); }},
      {"another generation", kStale,
       [](auto& r) { Tensor(r, 0, 1, 2)->set_generation(Tensor(r, 0, 1, 2)->generation() + 1); }},
      {"another's memory", kStale, [](auto& r) { Tensor(r, 0, 1, 2)->set_offset(0); }},
      {"no K/V", kInvalid, [](auto& r) { r.clear_kv_pages(); }},
      {"a K/V page missing", kInvalid, [](auto& r) { r.mutable_kv_pages()->RemoveLast(); }},
      {"a K/V page of no layer", kInvalid, [](auto& r) { r.mutable_kv_pages(0)->set_layer(3); }},
      {"a K/V page of a negative layer", kInvalid,
       [](auto& r) { r.mutable_kv_pages(0)->set_layer(-1); }},
      {"K/V pages out of order", kInvalid,
       [](auto& r) { r.mutable_kv_pages()->SwapElements(0, 1); }},
      {"a K/V page twice", kInvalid, [](auto& r) { *r.add_kv_pages() = r.kv_pages(0); }},
      {"more rows than a page has", kInvalid, [](auto& r) { r.mutable_kv_pages(0)->set_rows(40); }},
      {"fewer rows of a page in the middle", kInvalid,
       [](auto& r) { r.mutable_kv_pages(0)->set_rows(31); }},
      {"fewer rows of the last page", kInvalid,
       [](auto& r) { r.mutable_kv_pages(1)->set_rows(7); }},
      {"other bytes of a page", kInvalid, [](auto& r) { r.mutable_kv_pages(0)->set_bytes(64); }},
      {"a page outside", kRange,
       [=](auto& r) { r.mutable_kv_pages(0)->set_offset(arena_bytes - 64); }},
      {"another generation of a page", kStale,
       [](auto& r) { r.mutable_kv_pages(0)->set_generation(r.kv_pages(0).generation() + 1); }},
  };
  for (const Case& c : cases) {
    v1::RecordRef record = valid_;
    c.spoil(record);
    EXPECT_EQ(lending_.Map(record, kRows).status().code(), c.code) << c.what;
  }
  EXPECT_EQ(lending_.Map(valid_, kRows + 1).status().code(), kInvalid) << "another prompt";
}

TEST(MalformedAnswerRecordTest, EveryUntruthIsATypedError) {
  constexpr int64_t kRows = 40, kAnswer = 50;
  TestServingOptions options;
  options.batcher.record = RecordMode::kAll;
  Lending lending(options);
  lending.serving().Add(lending.serving().Request(kRows, kAnswer));
  lending.serving().RunAll();
  const v1::RecordRef valid = lending.Lease(lending.serving().finished().back().response_record_id);
  ASSERT_TRUE(lending.MapWithAnswer(valid, kRows, kAnswer - 1).ok());
  ASSERT_EQ(valid.runs_size(), 6) << "of 40, 4, 4, 8, 16 and 17 of 32 rows";
  const int last_layer = valid.runs(1).layers_size() - 1;
  const Case cases[] = {
      {"another answer", {}, [](auto& r) { r.set_tokens(kRows + 30); }},
      {"fewer than the prompt", {}, [](auto& r) { r.set_tokens(kRows - 1); }},
      {"a run across the prompt's end", {}, [](auto& r) { r.mutable_runs(0)->set_rows(41); }},
      {"no run of the prompt", {}, [](auto& r) { r.mutable_runs()->DeleteSubrange(0, 1); }},
      {"the answer's runs out of order", {}, [](auto& r) { r.mutable_runs()->SwapElements(1, 2); }},
      {"a run missing at the end", {}, [](auto& r) { r.mutable_runs()->RemoveLast(); }},
      {"fewer head rows of the answer",
       {},
       [=](auto& r) {
         r.mutable_runs(1)->mutable_layers(last_layer)->mutable_tensors(0)->set_rows(1);
       }},
      {"a page that goes on too far", {}, [](auto& r) { r.mutable_kv_pages(2)->set_rows(32); }},
      {"a page of no rows", {}, [](auto& r) { r.mutable_kv_pages(1)->set_rows(0); }},
      {"a page of negative rows", {}, [](auto& r) { r.mutable_kv_pages(1)->set_rows(-1); }},
  };
  for (const Case& c : cases) {
    v1::RecordRef record = valid;
    c.spoil(record);
    EXPECT_EQ(lending.MapWithAnswer(record, kRows, kAnswer - 1).status().code(),
              absl::StatusCode::kInvalidArgument)
        << c.what;
  }
  for (const auto& [prompt, answer] : {std::pair{kRows, kAnswer}, {kRows, 0L}, {kRows + 1, 49L}}) {
    EXPECT_EQ(lending.MapWithAnswer(valid, prompt, answer).status().code(),
              absl::StatusCode::kInvalidArgument)
        << prompt << " and " << answer << " rows";
  }
}

TEST_F(MalformedRecordTest, ARecordWhosePagesWereGivenAwayIsRefused) {
  TestServing& serving = lending_.serving();
  serving.store().EndSession(kEpoch);
  ASSERT_EQ(serving.store().EvictOlderThan(INT64_MAX), 1);
  lending_.Lend(Request());
  EXPECT_EQ(lending_.Map(valid_, kRows).status().code(), absl::StatusCode::kFailedPrecondition);
}

// Numbers at random in random places: refused, or else every byte of the views can be read.
TEST_F(MalformedRecordTest, RandomNumbersNeverLeadOutsideTheArena) {
  Random random(9);
  const std::vector<uint64_t> numbers = {0,    1,          31,         32,         33,   4095,
                                         4096, 1ull << 20, 1ull << 31, 1ull << 62, ~0ull};
  int refused = 0;
  for (int round = 0; round < 1000; ++round) {
    v1::RecordRef record = valid_;
    const uint64_t number = numbers[random.Below(static_cast<int64_t>(numbers.size()))];
    const int run = static_cast<int>(random.Below(3));
    google::protobuf::Message* message =
        record.mutable_kv_pages(static_cast<int>(random.Below(record.kv_pages_size())));
    if (random.Below(2) == 0) {
      v1::LayerRef& layer = *record.mutable_runs(run)->mutable_layers(0);
      message = layer.mutable_tensors(static_cast<int>(random.Below(layer.tensors_size())));
    } else if (random.Below(4) == 0) {
      message = record.mutable_runs(run);
    }
    const auto* field = message->GetDescriptor()->field(
        static_cast<int>(random.Below(message->GetDescriptor()->field_count())));
    const auto* reflection = message->GetReflection();
    if (field->is_repeated()) continue;
    switch (field->cpp_type()) {
      case google::protobuf::FieldDescriptor::CPPTYPE_INT64:
        reflection->SetInt64(message, field, static_cast<int64_t>(number));
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_UINT64:
        reflection->SetUInt64(message, field, number);
        break;
      default:
        reflection->SetUInt32(message, field, static_cast<uint32_t>(number));
    }
    const auto mapped = lending_.Map(record, kRows);
    if (!mapped.ok()) {
      ++refused;
      continue;
    }
    for (const LayerPieces& layer : mapped->activations) {
      for (const RowPieces& pieces : layer) Flatten(pieces);
    }
    for (const std::vector<KvRun>& runs : mapped->kv) Flatten(runs);
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace alchemist
