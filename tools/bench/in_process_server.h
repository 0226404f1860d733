// InProcessServer: the parts of alchemist-server that compute, on the calling thread: model, store
// and batcher, without gRPC, log and trainer. One thread, but for the attach listener's own.
#ifndef ALCHEMIST_TOOLS_BENCH_IN_PROCESS_SERVER_H_
#define ALCHEMIST_TOOLS_BENCH_IN_PROCESS_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "activation_store/store.h"
#include "base/status.h"
#include "kernels/cpu_device.h"
#include "kernels/stream.h"
#include "kernels/worker_pool.h"
#include "model/activation_layout.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "server/batcher.h"
#include "server/completion_stream.h"
#include "server/served_revision.h"

namespace alchemist {

class InProcessServer {
 public:
  struct Options {
    std::string model_directory;
    int threads = 1;
    int64_t serving_tokens = 4096;  // K/V of running requests that is not recorded.
    // What the store must have room for at once, recorded in steps of so many rows.
    int64_t recorded_prompts = 1;
    int64_t recorded_tokens = 0;
    int64_t recorded_rows_per_step = 512;
  };
  static absl::StatusOr<std::unique_ptr<InProcessServer>> Create(const Options& options);

  // What the batchers of benchmarks differ from: no prefix cache, since a prompt that is measured
  // twice is run twice.
  static BatcherOptions OptionsFor(RecordMode record);
  // Several may share the store, one at work at a time. The server must outlive it.
  absl::StatusOr<std::unique_ptr<Batcher>> MakeBatcher(const BatcherOptions& options);

  // Asks for `max_tokens` tokens after `prompt`, greedily; RunStep of `batcher` makes them. More
  // than fit a stream only come when somebody takes them.
  absl::StatusOr<std::shared_ptr<CompletionStream>> Add(Batcher& batcher,
                                                        std::vector<int32_t> prompt,
                                                        int64_t max_tokens) const;
  // Takes all that has come; nobody reads it.
  static void TakeAll(absl::Span<const std::shared_ptr<CompletionStream>> streams);
  // The same for one token, to its end. How long that took, in seconds.
  absl::StatusOr<double> Prefill(Batcher& batcher, std::vector<int32_t> prompt);
  // Of the last completion that ended; 0: it was not recorded.
  uint64_t last_record_id() const { return last_record_id_; }

  const Model& model() const { return *model_; }
  const ActivationLayout& layout() const { return *layout_; }
  const LoraAdapter& adapter() const { return *revision_->adapter; }
  ActivationStore& store() { return *store_; }
  CpuDevice& device() { return device_; }
  WorkerPool& pool() { return *pool_; }
  Stream& stream() { return *stream_; }

 private:
  InProcessServer() = default;
  absl::Status MakeStore(const Options& options);

  CpuDevice device_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<ActivationLayout> layout_;
  std::unique_ptr<ActivationStore> store_;
  std::shared_ptr<const ServedRevision> revision_;
  uint64_t last_record_id_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_IN_PROCESS_SERVER_H_
