// A message from the server to the trainer: its items, and their records as views of a mapped
// arena.
#include <google/protobuf/stubs/logging.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "activation_store/attach_listener.h"
#include "activation_store/control_pages.h"
#include "activation_store/reader.h"
#include "activation_store/store.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "kernels/shared_memory.h"
#include "model/activation_layout.h"
#include "proto/alchemist/v1/link.pb.h"
#include "tests/fuzz/fuzz_target.h"
#include "trainer/record_view.h"
#include "trainer/training_item.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptRows = 5;

ModelConfig SmallConfig() {
  ModelConfig config;
  config.layers = 2;
  config.hidden = 8;
  config.ffn = 16;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.vocab = 32;
  config.context = 64;
  return config;
}

// A store whose first lease is that of the corpus, and a reader attached to it.
class LentStore {
 public:
  LentStore() : layout_(config_, DType::kF32, /*lowest_trained_layer=*/0) {
    StoreOptions options;
    options.layers = layout_.layers();
    options.block_layers = layout_.layers() + 1;
    options.kv_page_bytes = 2 * kKvPageTokens * layout_.kv_width() * BytesPerElement(DType::kF32);
    options.serving_kv_bytes = options.layers * options.page_bytes;
    options.arena_bytes = 64 * options.page_bytes;
    for (int64_t layer = 0; layer <= layout_.layers(); ++layer) {
      for (const TensorSpec& spec : layout_.layer(layer)) {
        options.block_tensors.push_back({layer, static_cast<uint32_t>(spec.tensor),
                                         spec.width * BytesPerElement(spec.dtype),
                                         spec.head_rows_only});
      }
    }
    store_ = *ActivationStore::Create(std::move(options), /*canary=*/1);
    const uint64_t record = store_->Begin({}, {}, 0);
    CHECK(store_->AppendKvPages(record, kPromptRows));
    CHECK(store_->AppendBlock({{record, 0, kPromptRows, 1}}) != nullptr);
    store_->Seal(record, kPromptRows, {});
    Listen();
    base_.set_base_digest("base");
    base_.set_tokenizer_digest("tokenizer");
  }

  bool Takes(const v1::FeedbackItem& message) const {
    const auto item = ParseItem(message, config_, base_);
    if (!item.ok()) return false;
    if (!message.has_record()) return true;
    const RecordDescriptor lease = DescriptorOf(message.record());
    const auto record =
        MapServedRecord(*reader_, lease, layout_, item->prompt_rows(), item->response_rows());
    for (int64_t layer = 0; layer <= layout_.layers(); ++layer) {
      (void)reader_->CheckGenerations(lease, layer);
    }
    if (!record.ok()) return false;
    ReadAll(record->prompt);
    if (record->response) ReadAll(*record->response);
    return true;
  }

 private:
  void Listen() {
    std::string directory = absl::StrCat(testing::TempDir(), "/lent-XXXXXX");
    PCHECK(mkdtemp(directory.data()) != nullptr) << directory;
    server_page_ = *SharedMemory::Create("server-page", kControlPageBytes);
    AttachListener::Options listen;
    listen.socket_path = directory + "/store.sock";
    listen.reply.arena_bytes = store_->arena().bytes();
    listen.reply.page_bytes = StoreOptions().page_bytes;
    listen.reply.generations_bytes = store_->generations().bytes();
    listen.fds = {store_->arena().fd(), store_->generations().fd(), server_page_.fd()};
    listen.on_event = [](AttachEvent) {};
    const std::string socket = listen.socket_path;
    listener_ = *AttachListener::Create(std::move(listen));
    listener_->Start();
    reader_ = *StoreReader::Attach(socket);
  }
  static void ReadView(const ConstTensorView& view) {
    const auto* const bytes = static_cast<const volatile std::byte*>(view.data);
    const int64_t size = view.rows * view.width * BytesPerElement(view.dtype);
    (void)bytes[0];
    (void)bytes[size - 1];
  }
  static void ReadAll(const RecordView& view) {
    for (const LayerPieces& layer : view.activations) {
      for (const RowPieces& tensor : layer) {
        for (const ConstTensorView& piece : tensor.pieces()) ReadView(piece);
      }
    }
    for (const std::vector<KvRun>& layer : view.kv) {
      for (const KvRun& run : layer) {
        ReadView(run.k);
        ReadView(run.v);
      }
    }
  }

  const ModelConfig config_ = SmallConfig();
  const ActivationLayout layout_;
  std::unique_ptr<ActivationStore> store_;
  SharedMemory server_page_;
  std::unique_ptr<AttachListener> listener_;
  std::unique_ptr<StoreReader> reader_;
  v1::Base base_;
};

}  // namespace

bool TakesInput(absl::string_view input) {
  const google::protobuf::LogSilencer silencer;  // Of strings that are no UTF-8.
  static const auto* const store = new LentStore;
  v1::ServerMessage message;
  if (!message.ParseFromArray(input.data(), static_cast<int>(input.size()))) return false;
  bool taken = message.has_item() || message.has_replay_batch();
  if (message.has_item()) taken = store->Takes(message.item());
  for (const v1::FeedbackItem& item : message.replay_batch().items()) taken &= store->Takes(item);
  return taken;
}

}  // namespace alchemist
