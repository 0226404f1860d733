#include "tools/bench/in_process_server.h"

#include <utility>

#include "activation_store/record.h"
#include "base/clock.h"
#include "kernels/matmul.h"
#include "server/completion.h"
#include "server/record_layout.h"
#include "tools/bench/bench_adapter.h"
#include "tools/bench/stopwatch.h"

namespace alchemist {
namespace {

constexpr uint64_t kCanary = 7;

int64_t RoundUp(int64_t bytes, int64_t page_bytes) {
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<InProcessServer>> InProcessServer::Create(const Options& options) {
  std::unique_ptr<InProcessServer> server(new InProcessServer());
  ASSIGN_OR_RETURN(server->model_, Model::Load(options.model_directory));
  ASSIGN_OR_RETURN(server->tokenizer_, Tokenizer::Load(options.model_directory));
  const Model& model = *server->model_;
  RETURN_IF_ERROR(MatmulSelfTest(model.MatmulShapes(), model.dtype()));
  server->pool_ = std::make_unique<WorkerPool>(WorkerPool::Options{.threads = options.threads});
  server->stream_ = std::make_unique<Stream>(server->pool_.get());
  ASSIGN_OR_RETURN(std::shared_ptr<const LoraAdapter> adapter, MakeBenchAdapter(model.config()));
  RevisionId id = {"default", 0, adapter->digest()};
  server->revision_ =
      std::make_shared<const ServedRevision>(ServedRevision{std::move(id), std::move(adapter)});
  server->layout_ = std::make_unique<ActivationLayout>(model.config(), model.dtype(),
                                                       /*lowest_trained_layer=*/0);
  RETURN_IF_ERROR(server->MakeStore(options));
  return server;
}

absl::Status InProcessServer::MakeStore(const Options& options) {
  StoreOptions store;
  store.layers = layout_->layers();
  store.block_layers = layout_->layers() + 1;
  store.kv_page_bytes = 2 * kKvPageTokens * layout_->kv_width() * BytesPerElement(layout_->dtype());
  const int64_t kv_bytes = store.layers * RoundUp(store.kv_page_bytes, store.page_bytes);
  store.serving_kv_bytes = options.serving_tokens / kKvPageTokens * kv_bytes;
  store.block_tensors = BlockTensorsOf(*layout_);
  // Beside what a record holds: each of its tensors ends in the middle of a page, as does its K/V,
  // and a prompt is cut into steps.
  const int64_t blocks =
      options.recorded_prompts + options.recorded_tokens / options.recorded_rows_per_step;
  const int64_t slack =
      blocks * static_cast<int64_t>(store.block_tensors.size()) * store.page_bytes +
      options.recorded_prompts * kv_bytes;
  const int64_t kv_rounding =
      (options.recorded_tokens / kKvPageTokens) * (kv_bytes - store.layers * store.kv_page_bytes);
  const int64_t record_bytes =
      layout_->RecordBytes(options.recorded_tokens, options.recorded_prompts);
  store.arena_bytes =
      RoundUp(store.serving_kv_bytes + record_bytes + slack + kv_rounding + store.page_bytes,
              store.page_bytes);
  ASSIGN_OR_RETURN(store_, ActivationStore::Create(std::move(store), kCanary));
  return absl::OkStatus();
}

BatcherOptions InProcessServer::OptionsFor(RecordMode record) {
  BatcherOptions options;
  options.record = record;
  options.prefix_cache = false;
  return options;
}

absl::StatusOr<std::unique_ptr<Batcher>> InProcessServer::MakeBatcher(
    const BatcherOptions& options) {
  return Batcher::Create(
      options,
      {.model = model_.get(),
       .tokenizer = tokenizer_.get(),
       .layout = layout_.get(),
       .store = store_.get(),
       .clock = Clock::Real(),
       .stream = stream_.get(),
       .pin = [this](const CompletionRequest&) { return revision_; },
       .on_finished = [this](FinishedCompletion f) { last_record_id_ = f.record_id; },
       .poll = [] {}},
      device_);
}

absl::StatusOr<std::shared_ptr<CompletionStream>> InProcessServer::Add(Batcher& batcher,
                                                                       std::vector<int32_t> prompt,
                                                                       int64_t max_tokens) const {
  CompletionRequest request;
  request.prompt_tokens = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  auto stream = std::make_shared<CompletionStream>();
  RETURN_IF_ERROR(batcher.Add(std::move(request), stream));
  return stream;
}

void InProcessServer::TakeAll(absl::Span<const std::shared_ptr<CompletionStream>> streams) {
  for (const std::shared_ptr<CompletionStream>& stream : streams) {
    while (stream->Take().has_value()) {
    }
  }
}

absl::StatusOr<double> InProcessServer::Prefill(Batcher& batcher, std::vector<int32_t> prompt) {
  RETURN_IF_ERROR(Add(batcher, std::move(prompt), 1).status());
  return SecondsOf([&] {
    while (batcher.RunStep()) {
    }
  });
}

}  // namespace alchemist
