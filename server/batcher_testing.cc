#include "server/batcher_testing.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "model/random_model.h"
#include "model/tokenizer/example_tokenizers.h"
#include "server/record_layout.h"

namespace alchemist {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kLowestTrainedLayer = 1;
constexpr int64_t kStepsMax = 100'000;

}  // namespace

TestServing::TestServing(TestServingOptions options) {
  ModelConfig config = TinyModelConfig(options.family);
  config.eos_ids = options.eos_ids;
  model_ = RandomModelForTest(config, 1, machine_.device, options.dtype);
  auto tokenizer = Tokenizer::Parse(kLlama2Style, "tokenizer.json");
  CHECK(tokenizer.ok()) << tokenizer.status();
  tokenizer_ = *std::move(tokenizer);
  layout_ = std::make_unique<ActivationLayout>(config, options.dtype, kLowestTrainedLayer);
  StoreOptions store;
  store.layers = config.layers;
  store.block_layers = config.layers + 1;
  store.kv_page_bytes = 2 * kKvPageTokens * config.kv_width() * BytesPerElement(options.dtype);
  const int64_t kv_bytes = (store.kv_page_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  store.page_bytes = kPageBytes;
  store.serving_kv_bytes = options.serving_kv_pages * kv_bytes;
  store.arena_bytes = store.serving_kv_bytes + (1 + options.record_pages) * kPageBytes;
  store.block_tensors = BlockTensorsOf(*layout_);
  auto created = ActivationStore::Create(std::move(store), /*canary=*/7);
  CHECK(created.ok()) << created.status();
  store_ = *std::move(created);
  revision_ = MakeRevision(0);
  auto batcher = Batcher::Create(
      options.batcher,
      {.model = model_.get(),
       .tokenizer = tokenizer_.get(),
       .layout = layout_.get(),
       .store = store_.get(),
       .clock = &clock_,
       .stream = &machine_.stream,
       .pin =
           [this](const CompletionRequest& request) {
             const auto session = sessions_.find(request.session_id);
             return session == sessions_.end() ? revision_ : session->second;
           },
       .on_finished = [this](FinishedCompletion f) { finished_.push_back(std::move(f)); },
       .poll = [this] { poll(); }},
      machine_.device);
  CHECK(batcher.ok()) << batcher.status();
  batcher_ = *std::move(batcher);
}

std::shared_ptr<const ServedRevision> TestServing::MakeRevision(int64_t number) const {
  std::shared_ptr<const LoraAdapter> adapter =
      RandomAdapterForTest(model_->config(), 100 + static_cast<uint64_t>(number));
  RevisionId id = {"default", number, adapter->digest()};
  return std::make_shared<const ServedRevision>(ServedRevision{std::move(id), std::move(adapter)});
}

CompletionRequest TestServing::Request(int64_t rows, int64_t max_tokens, uint64_t seed) const {
  Random random(seed * 1000 + static_cast<uint64_t>(rows));
  CompletionRequest request;
  request.request_id = absl::StrCat("req-", seed, "-", rows);
  request.prompt_tokens = RandomTokens(rows, model_->config().vocab, &random);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.logprobs = true;
  return request;
}

std::shared_ptr<CompletionStream> TestServing::Add(CompletionRequest request) {
  auto stream = std::make_shared<CompletionStream>();
  const absl::Status added = batcher_->Add(std::move(request), stream);
  EXPECT_TRUE(added.ok()) << added;
  return stream;
}

std::shared_ptr<CompletionStream> TestServing::Add(CompletionRequest request,
                                                   std::shared_ptr<const ServedRevision> revision) {
  request.session_id = absl::StrCat("at ", revision->id.number);
  sessions_[request.session_id] = std::move(revision);
  return Add(std::move(request));
}

void TestServing::RunAll() {
  for (int64_t step = 0; batcher_->RunStep(); ++step) {
    batcher_->CheckInvariants();
    CHECK_LT(step, kStepsMax) << "the batcher does not come to an end";
  }
}

void TestServing::Drain(CompletionStream& stream, TestAnswer& answer) {
  std::vector<TestAnswer> answers = {std::move(answer)};
  DrainChoices(stream, answers);
  answer = std::move(answers[0]);
}

void TestServing::DrainChoices(CompletionStream& stream, std::vector<TestAnswer>& answers) {
  while (std::optional<CompletionEvent> event = stream.Take()) {
    if (auto* started = std::get_if<CompletionStarted>(&*event)) {
      EXPECT_TRUE(answers[0].request_id.empty() && answers[0].tokens.empty());
      answers[0].request_id = started->request_id;
    } else if (auto* prompt = std::get_if<PromptLogprobs>(&*event)) {
      EXPECT_TRUE(answers[0].tokens.empty() && answers[0].prompt_logprobs.logprobs.empty());
      answers[0].prompt_logprobs = std::move(*prompt);
    } else if (auto* chunk = std::get_if<CompletionChunk>(&*event)) {
      TestAnswer& answer = answers.at(chunk->choice);
      EXPECT_EQ(answer.ends, 0) << "a chunk after the end";
      answer.text += chunk->text;
      answer.tokens.insert(answer.tokens.end(), chunk->token_ids.begin(), chunk->token_ids.end());
      answer.log_probs.insert(answer.log_probs.end(), chunk->logprobs.begin(),
                              chunk->logprobs.end());
      answer.top.insert(answer.top.end(), chunk->top.begin(), chunk->top.end());
    } else {
      auto end = std::get<CompletionEnd>(*std::move(event));
      TestAnswer& answer = answers.at(end.choice);
      ++answer.ends;
      answer.end = std::move(end);
    }
  }
}

TestAnswer TestServing::AnswerOf(CompletionStream& stream) {
  TestAnswer answer;
  Drain(stream, answer);
  return answer;
}

std::map<std::string, std::string> TestServing::RecordBytes(uint64_t record_id) {
  std::map<std::string, std::string> bytes;
  auto lease = store_->Lease(record_id, /*session_epoch=*/1);
  CHECK(lease.ok()) << lease.status();
  const char* arena = reinterpret_cast<const char*>(store_->data());
  for (const RunDescriptor& run : lease->runs) {
    for (size_t layer = 0; layer < run.layers.size(); ++layer) {
      for (const TensorSlot& slot : run.layers[layer]) {
        bytes[absl::StrCat(layer, "/", slot.tensor)].append(arena + slot.offset, slot.bytes);
      }
    }
  }
  for (const KvPageSlot& slot : lease->kv_pages) {
    const uint64_t half = slot.bytes / 2;
    const size_t rows_bytes = half / kKvPageTokens * static_cast<uint64_t>(slot.rows);
    bytes[absl::StrCat(slot.layer, "/k")].append(arena + slot.offset, rows_bytes);
    bytes[absl::StrCat(slot.layer, "/v")].append(arena + slot.offset + half, rows_bytes);
  }
  return bytes;
}

void TestServing::ExpectIdle() const {
  batcher_->CheckInvariants();
  EXPECT_EQ(store_->ledger().serving_kv_bytes_used, 0);
  EXPECT_EQ(batcher_->running(), 0);
  EXPECT_EQ(batcher_->waiting(), 0);
}

}  // namespace alchemist
