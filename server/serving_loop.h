// ServingLoop: the one thread of the server that owns stream, store, batcher and feed; no lock
// among them. gRPC threads, the log thread and the attach listener post commands to its bounded
// queue, which it also polls between layers. RunOnce is one turn, so that tests can drive a whole
// server by hand.
#ifndef ALCHEMIST_SERVER_SERVING_LOOP_H_
#define ALCHEMIST_SERVER_SERVING_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "activation_store/control_pages.h"
#include "activation_store/store.h"
#include "base/clock.h"
#include "base/status.h"
#include "server/adapter_registry.h"
#include "server/batcher.h"
#include "server/command_queue.h"
#include "server/held_time.h"
#include "server/log_thread.h"
#include "server/trainer_feed.h"

namespace alchemist {

struct ServingLoopOptions {
  BatcherOptions batcher;
  int64_t record_ttl_us = 600'000'000;
};

class ServingLoop {
 public:
  using Command = CommandQueue::Command;
  static constexpr int64_t kIdleWaitUs = 20'000;

  struct Parts {
    const Model* model = nullptr;
    const Tokenizer* tokenizer = nullptr;
    const ActivationLayout* layout = nullptr;
    ActivationStore* store = nullptr;
    AdapterRegistry* registry = nullptr;
    LogThread* log = nullptr;
    Publisher* publisher = nullptr;
    ServerPage* server_page = nullptr;
    const Clock* clock = nullptr;
    Stream* stream = nullptr;
    Device* device = nullptr;
    uint64_t store_epoch = 0;
    uint64_t canary = 0;
    std::function<void(uint64_t)> kill_trainer;
    std::function<void(uint64_t)> end_attachment;
  };
  // All parts outlive the loop.
  static absl::StatusOr<std::unique_ptr<ServingLoop>> Create(const ServingLoopOptions& options,
                                                             Parts parts);

  // ---- Any thread ----
  // CommandQueue's: they run `command` on the loop's thread.
  absl::Status Post(Command command) { return commands_.Post(std::move(command)); }
  absl::Status TryPost(Command command) { return commands_.TryPost(std::move(command)); }
  void PostInternal(Command command) { commands_.PostInternal(std::move(command)); }
  absl::Status Call(std::function<absl::Status()> command) {
    return commands_.Call(std::move(command));
  }
  void Stop() { commands_.Close(); }  // Refuses new commands; Run returns after what is queued.
  // These never change.
  int64_t tokens_max() const { return batcher_->tokens_max(); }
  const BatcherOptions& batcher_options() const { return options_.batcher; }
  const ActivationLayout& layout() const { return *parts_.layout; }

  // ---- The loop's thread ----
  void Run();      // Until Stop; then ends all requests.
  bool RunOnce();  // One turn; false when it found nothing to do.

  // For commands.
  Batcher& batcher() { return *batcher_; }
  TrainerFeed& feed() { return *feed_; }
  ActivationStore& store() { return *parts_.store; }
  AdapterRegistry& registry() { return *parts_.registry; }
  // For how long, since the start, serving had work, and so would have training yield.
  int64_t BusyUs() const { return busy_.TotalUs(parts_.clock->MonotonicUs()); }
  int64_t completions_not_logged() const { return completions_not_logged_; }

 private:
  ServingLoop(const ServingLoopOptions& options, Parts parts)
      : options_(options), parts_(std::move(parts)) {}
  void Tick();
  void OnFinished(FinishedCompletion finished);

  const ServingLoopOptions options_;
  const Parts parts_;
  CommandQueue commands_;
  std::unique_ptr<Batcher> batcher_;
  std::unique_ptr<TrainerFeed> feed_;
  HeldTime busy_;
  int64_t next_tick_us_ = 0;
  int64_t completions_not_logged_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SERVING_LOOP_H_
