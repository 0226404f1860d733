#include "server/server_runtime.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "activation_store/control_pages.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logging.h"
#include "kernels/matmul.h"
#include "server/log_call.h"
#include "server/record_layout.h"

namespace alchemist {
namespace {

constexpr int64_t kPublisherWaitUs = 1'000'000;  // Bounds the wait only; a job wakes it at once.

absl::Status MakePrivateDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus("mkdir", path);
  return absl::OkStatus();
}

absl::StatusOr<FileDescriptor> LockFolder(const char* flag, const std::string& folder) {
  absl::StatusOr<FileDescriptor> lock = LockFile(folder + "/server.lock");
  if (lock.ok() || !absl::IsFailedPrecondition(lock.status())) return lock;
  return absl::FailedPreconditionError(
      absl::StrCat(flag, ": another alchemist-server runs on ", folder));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerRuntime>> ServerRuntime::Start(const ServerOptions& options) {
  std::unique_ptr<ServerRuntime> runtime(new ServerRuntime(options));
  RETURN_IF_ERROR(runtime->LockFolders());  // Before anything in them is changed.
  RETURN_IF_ERROR(runtime->LoadModel());
  RETURN_IF_ERROR(runtime->OpenLog());
  RETURN_IF_ERROR(runtime->MakeStore());
  RETURN_IF_ERROR(runtime->MakeLoop());
  return runtime;
}

absl::Status ServerRuntime::LockFolders() {
  const std::string& data_dir = options_.registry.data_dir;
  RETURN_IF_ERROR(MakePrivateDirectory(options_.runtime_dir));
  RETURN_IF_ERROR(MakePrivateDirectory(data_dir));
  ASSIGN_OR_RETURN(runtime_lock_, LockFolder("--runtime_dir", options_.runtime_dir));
  ASSIGN_OR_RETURN(data_lock_, LockFolder("--data_dir", data_dir));
  return absl::OkStatus();
}

absl::Status ServerRuntime::Check(const ServerOptions& options) {
  ServerRuntime runtime(options);
  RETURN_IF_ERROR(runtime.LoadModel());
  return LoraAdapter::Create(runtime.model_->config(), options.registry.adapter, 1).status();
}

absl::Status ServerRuntime::LoadModel() {
  ASSIGN_OR_RETURN(model_, Model::Load(options_.model_directory, options_.dtype));
  ASSIGN_OR_RETURN(tokenizer_, Tokenizer::Load(options_.model_directory));
  const SharedMemory* const converted = model_->converted();
  LOG(INFO) << "computing in " << DTypeName(model_->dtype()) << ", "
            << (converted == nullptr ? 0 : converted->bytes()) << " bytes of weights converted";
  const int64_t vocab = model_->config().vocab;
  if (tokenizer_->vocab_size() > vocab) {
    return absl::InvalidArgumentError(
        absl::StrCat(options_.model_directory, ": tokenizer.json has ", tokenizer_->vocab_size(),
                     " tokens, config.json vocab_size is ", vocab));
  }
  return absl::OkStatus();
}

absl::Status ServerRuntime::OpenLog() {
  ASSIGN_OR_RETURN(log_, LogThread::Start(options_.registry.data_dir, {}));
  const BaseId base = {model_->base_digest(), tokenizer_->digest()};
  return CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
    RETURN_IF_ERROR(log.BindBase(base));
    ASSIGN_OR_RETURN(const int64_t epoch, log.BumpStoreEpoch());
    store_epoch_ = static_cast<uint64_t>(epoch);
    ASSIGN_OR_RETURN(totals_, log.steps().Totals());
    ASSIGN_OR_RETURN(registry_,
                     AdapterRegistry::Open(options_.registry, model_.get(), Clock::Real(), log));
    return absl::OkStatus();
  });
}

absl::Status ServerRuntime::MakeStore() {
  layout_ = std::make_unique<ActivationLayout>(model_->config(), model_->dtype(),
                                               registry_->config().lowest_layer);
  StoreOptions store;
  store.arena_bytes = options_.device_bytes;
  store.serving_kv_bytes = options_.serving_kv_bytes;
  store.layers = layout_->layers();
  store.block_layers = layout_->layers() + 1;
  store.kv_page_bytes = 2 * kKvPageTokens * layout_->kv_width() * BytesPerElement(layout_->dtype());
  store.block_tensors = BlockTensorsOf(*layout_);
  if (getrandom(&canary_, sizeof(canary_), 0) != sizeof(canary_)) {
    return ErrnoStatus("getrandom", "canary");
  }
  ASSIGN_OR_RETURN(store_, ActivationStore::Create(std::move(store), canary_));
  ASSIGN_OR_RETURN(server_page_, SharedMemory::Create("alchemist-server-page", kControlPageBytes));
  LOG(INFO) << "arena of " << options_.device_bytes << " bytes in " << store_->arena().page_kind()
            << " pages";
  return absl::OkStatus();
}

absl::Status ServerRuntime::MakeLoop() {
  RETURN_IF_ERROR(MatmulSelfTest(model_->MatmulShapes(), model_->dtype()));
  LOG(INFO) << "matmul: " << MatmulDescription();
  pool_ = std::make_unique<WorkerPool>(WorkerPool::Options{.threads = options_.threads});
  stream_ = std::make_unique<Stream>(pool_.get());
  publisher_ = std::make_unique<Publisher>(registry_.get(), log_.get());
  auto* page = reinterpret_cast<ServerPage*>(server_page_.writable_data());
  page->store_epoch = store_epoch_;
  ASSIGN_OR_RETURN(
      loop_,
      ServingLoop::Create(options_.loop,
                          {.model = model_.get(),
                           .tokenizer = tokenizer_.get(),
                           .layout = layout_.get(),
                           .store = store_.get(),
                           .registry = registry_.get(),
                           .log = log_.get(),
                           .publisher = publisher_.get(),
                           .server_page = page,
                           .clock = Clock::Real(),
                           .stream = stream_.get(),
                           .device = &device_,
                           .store_epoch = store_epoch_,
                           .canary = canary_,
                           .kill_trainer = [this](uint64_t e) { listener_->Kill(e); },
                           .end_attachment = [this](uint64_t e) { listener_->EndSession(e); }}));
  loop_->feed().Restore(totals_);
  loop_thread_ = std::thread([this] { loop_->Run(); });
  publisher_thread_ = std::thread([this] {
    while (publisher_->RunOnce(kPublisherWaitUs)) {
    }
  });
  return absl::OkStatus();
}

absl::Status ServerRuntime::ListenForTrainer() {
  AttachListener::Options listen;
  listen.socket_path = options_.store_socket();
  AttachReply& reply = listen.reply;
  reply.store_epoch = store_epoch_;
  reply.arena_bytes = store_->arena().bytes();
  reply.page_bytes = StoreOptions().page_bytes;
  reply.generations_bytes = store_->generations().bytes();
  reply.lowest_trained_layer = layout_->lowest_trained_layer();
  reply.dtype = model_->dtype();
  listen.fds = {store_->arena().fd(), store_->generations().fd(), server_page_.fd()};
  if (const SharedMemory* converted = model_->converted(); converted != nullptr) {
    reply.converted_bytes = converted->bytes();
    listen.converted_fd = converted->fd();
  }
  RETURN_IF_ERROR(
      CopyToField(model_->directory(), absl::MakeSpan(reply.model_directory), "--model"));
  RETURN_IF_ERROR(
      CopyToField(model_->base_digest(), absl::MakeSpan(reply.base_digest), "base digest"));
  RETURN_IF_ERROR(CopyToField(tokenizer_->digest(), absl::MakeSpan(reply.tokenizer_digest),
                              "tokenizer digest"));
  RETURN_IF_ERROR(
      CopyToField(options_.link_socket(), absl::MakeSpan(reply.link_socket), "--runtime_dir"));
  listen.on_event = [this](AttachEvent event) {
    loop_->PostInternal([this, event = std::move(event)] { loop_->feed().OnAttachEvent(event); });
  };
  ASSIGN_OR_RETURN(listener_, AttachListener::Create(std::move(listen)));
  listener_->Start();
  return absl::OkStatus();
}

absl::Status ServerRuntime::Stop() {
  if (!loop_thread_.joinable()) return absl::OkStatus();
  loop_->Stop();
  loop_thread_.join();
  listener_.reset();
  publisher_->Close();
  publisher_thread_.join();
  return log_->Stop();
}

ServerRuntime::~ServerRuntime() {
  const absl::Status status = Stop();
  if (!status.ok()) LOG(ERROR) << "stopping: " << status;
}

}  // namespace alchemist
