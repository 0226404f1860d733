// ServerRuntime: everything of the serving daemon below gRPC, made in order and ended in reverse:
// model, store, log, adapters, serving loop with its thread, attach listener. Owned by main.
#ifndef ALCHEMIST_SERVER_SERVER_RUNTIME_H_
#define ALCHEMIST_SERVER_SERVER_RUNTIME_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "activation_store/attach_listener.h"
#include "activation_store/store.h"
#include "base/file.h"
#include "base/status.h"
#include "kernels/cpu_device.h"
#include "kernels/shared_memory.h"
#include "kernels/stream.h"
#include "kernels/worker_pool.h"
#include "model/activation_layout.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "server/adapter_registry.h"
#include "server/log_thread.h"
#include "server/publisher.h"
#include "server/serving_loop.h"

namespace alchemist {

struct ServerOptions {
  std::string model_directory;
  std::optional<DType> dtype;         // Of Model::Load.
  std::string runtime_dir;            // Sockets: store.sock, link.sock.
  AdapterRegistry::Options registry;  // Holds data_dir.
  ServingLoopOptions loop;
  int64_t device_bytes = 0;
  int64_t serving_kv_bytes = 0;
  int threads = 0;
  int64_t drain_timeout_us = 0;  // Running requests may take this long when the server stops.

  std::string store_socket() const { return runtime_dir + "/store.sock"; }
  std::string link_socket() const { return runtime_dir + "/link.sock"; }
};

class ServerRuntime {
 public:
  // Errors name the option, file and field. Nothing listens when it fails.
  static absl::StatusOr<std::unique_ptr<ServerRuntime>> Start(const ServerOptions& options);
  // Loads and checks what Start would, and starts nothing.
  static absl::Status Check(const ServerOptions& options);

  // Starts to accept a trainer. After the link service listens.
  absl::Status ListenForTrainer();
  // Ends all requests, then the trainer's session and publishing, then closes the log. Once.
  absl::Status Stop();
  ~ServerRuntime();

  const Model& model() const { return *model_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  LogThread& log() { return *log_; }
  ServingLoop& loop() { return *loop_; }
  Publisher& publisher() { return *publisher_; }

 private:
  explicit ServerRuntime(const ServerOptions& options) : options_(options) {}
  absl::Status LockFolders();
  absl::Status LoadModel();
  absl::Status OpenLog();
  absl::Status MakeStore();
  absl::Status MakeLoop();

  const ServerOptions options_;
  FileDescriptor runtime_lock_;  // Two servers on one folder would take each other's sockets,
  FileDescriptor data_lock_;     // or remove each other's candidates.
  std::unique_ptr<const Model> model_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  CpuDevice device_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<LogThread> log_;
  uint64_t store_epoch_ = 0;
  StepTotals totals_;  // Of the log at the start.
  std::unique_ptr<AdapterRegistry> registry_;
  std::unique_ptr<Publisher> publisher_;
  std::thread publisher_thread_;
  std::unique_ptr<ActivationLayout> layout_;
  uint64_t canary_ = 0;
  std::unique_ptr<ActivationStore> store_;
  SharedMemory server_page_;
  std::unique_ptr<ServingLoop> loop_;
  std::thread loop_thread_;
  std::unique_ptr<AttachListener> listener_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SERVER_RUNTIME_H_
