// alchemist-trainer: attaches to alchemist-server, makes passes over feedback on what serving
// recorded, and publishes revisions of the adapter.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/flags.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "kernels/cpu_device.h"
#include "kernels/matmul.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/worker_pool.h"
#include "model/model.h"
#include "proto/alchemist/v1/link.pb.h"
#include "trainer/attachment.h"
#include "trainer/idle_priority.h"
#include "trainer/offline_trainer.h"
#include "trainer/server_link.h"
#include "trainer/trainer_loop.h"
#include "trainer/trainer_state.h"
#include "trainer/yield.h"

ABSL_FLAG(std::string, runtime_dir, "/run/alchemist", "The server's --runtime_dir.");
ABSL_FLAG(std::string, checkpoint_dir, "", "Folder of checkpoints (required).");
ABSL_FLAG(int, threads, 0, "Compute threads; 0: one per core. They run at idle priority.");
ABSL_FLAG(double, learning_rate, 1e-3, "AdamW learning rate.");
ABSL_FLAG(double, weight_decay, 4.0,
          "AdamW weight decay; it holds the adapter near the base model.");
ABSL_FLAG(double, gradient_norm_max, 1.0, "Larger gradients are scaled down to this norm.");
ABSL_FLAG(int64_t, passes, 40, "Steps that a feedback takes part in at most.");
ABSL_FLAG(double, done_loss, 0.02, "A feedback whose loss is below this needs no further pass.");
ABSL_FLAG(double, drift_max, 2.0,
          "A first pass reads the served record while the updates since it was made sum to less "
          "than this share of the adapter's norm; 0 recomputes whenever there was an update.");
ABSL_FLAG(double, repeat_drift_max, 0.0,
          "The same for later passes, which read the trainer's own records, and for replay.");
ABSL_FLAG(int64_t, batch_items, 12,
          "Feedback items of a batch, at most 256; at least as many replayed ones join.");
ABSL_FLAG(int64_t, replay_items, 200,
          "Replayed answers and earlier corrections of a batch, at most 256, even when it has "
          "fewer feedback items; those beyond as many must fit --batch_tokens.");
ABSL_FLAG(int64_t, step_interval_ms, 500,
          "A batch that is not full waits this long after the last step for more feedback.");
ABSL_FLAG(int64_t, pass_interval_ms, 800,
          "Between two steps that one feedback takes part in, so that others come between them.");
ABSL_FLAG(int64_t, batch_tokens, 4096,
          "Tokens of a batch's feedback items, and of its replayed ones.");
ABSL_FLAG(int64_t, own_record_bytes, int64_t{256} << 20,
          "Memory for records of the trainer's own, kept for later passes.");
ABSL_FLAG(int64_t, publish_interval_ms, 2000, "At least this long between two revisions.");
ABSL_FLAG(int64_t, items_ahead, 256, "Feedback items held at most.");
ABSL_FLAG(int64_t, forward_rows, 512, "Rows of one forward call.");
ABSL_FLAG(std::string, dump_gradients, "", "Write each step's items and gradients to this folder.");
ABSL_FLAG(std::string, offline_items, "",
          "Without a server: the gradient of the items in this file of a dump, see --model, "
          "--adapters, --output.");
ABSL_FLAG(std::string, model, "", "Offline: Hugging Face directory.");
ABSL_FLAG(std::string, dtype, "auto",
          "Offline: the server's --dtype. (An attached trainer computes in the server's type.)");
ABSL_FLAG(std::string, adapters, "", "Offline: adapters/ of the dump.");
ABSL_FLAG(std::string, output, "", "Offline: safetensors file to write.");

namespace alchemist {
namespace {

constexpr int64_t kLoopWaitUs = 20'000;
constexpr int64_t kRetryMinUs = 100'000;
constexpr int64_t kRetryMaxUs = 2'000'000;

std::atomic<bool> stop_requested{false};

absl::StatusOr<TrainerOptions> OptionsFromFlags() {
  TrainerOptions options;
  if (const int threads = absl::GetFlag(FLAGS_threads); threads < 0 || threads > 1024) {
    return absl::InvalidArgumentError("--threads: must be from 0 to 1024");
  }
  options.batch.items_max = absl::GetFlag(FLAGS_batch_items);
  options.batch.tokens_max = absl::GetFlag(FLAGS_batch_tokens);
  options.optimizer.adamw.learning_rate = absl::GetFlag(FLAGS_learning_rate);
  options.optimizer.adamw.weight_decay = absl::GetFlag(FLAGS_weight_decay);
  options.optimizer.gradient_norm_max = absl::GetFlag(FLAGS_gradient_norm_max);
  options.batch.replay_items_min = absl::GetFlag(FLAGS_replay_items);
  ASSIGN_OR_RETURN(
      options.batch.step_interval_us,
      DurationFlagUs("step_interval_ms", absl::GetFlag(FLAGS_step_interval_ms), 1000, 0));
  ASSIGN_OR_RETURN(
      options.batch.pass_interval_us,
      DurationFlagUs("pass_interval_ms", absl::GetFlag(FLAGS_pass_interval_ms), 1000, 0));
  options.passes_max = absl::GetFlag(FLAGS_passes);
  options.done_loss = absl::GetFlag(FLAGS_done_loss);
  options.drift_max = absl::GetFlag(FLAGS_drift_max);
  options.repeat_drift_max = absl::GetFlag(FLAGS_repeat_drift_max);
  options.own_record_bytes = absl::GetFlag(FLAGS_own_record_bytes);
  ASSIGN_OR_RETURN(
      options.publish_interval_us,
      DurationFlagUs("publish_interval_ms", absl::GetFlag(FLAGS_publish_interval_ms), 1000, 0));
  options.items_ahead = absl::GetFlag(FLAGS_items_ahead);
  options.forward_rows = absl::GetFlag(FLAGS_forward_rows);
  options.dump_gradients = absl::GetFlag(FLAGS_dump_gradients);
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, double>>{
           {"batch_items", static_cast<double>(options.batch.items_max)},
           {"batch_tokens", static_cast<double>(options.batch.tokens_max)},
           {"passes", static_cast<double>(options.passes_max)},
           {"learning_rate", options.optimizer.adamw.learning_rate},
           {"gradient_norm_max", options.optimizer.gradient_norm_max},
           {"items_ahead", static_cast<double>(options.items_ahead)},
           {"forward_rows", static_cast<double>(options.forward_rows)}}) {
    if (!(value > 0)) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": must be above 0"));
    }
  }
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, double>>{
           {"weight_decay", options.optimizer.adamw.weight_decay},
           {"done_loss", options.done_loss},
           {"drift_max", options.drift_max},
           {"repeat_drift_max", options.repeat_drift_max},
           {"replay_items", static_cast<double>(options.batch.replay_items_min)},
           {"own_record_bytes", static_cast<double>(options.own_record_bytes)}}) {
    if (!(value >= 0)) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": must not be negative"));
    }
  }
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"replay_items", options.batch.replay_items_min},
           {"batch_items", options.batch.items_max}}) {
    if (value > v1::LINK_LIMIT_REPLAY_ITEMS) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, ": must be at most ", int{v1::LINK_LIMIT_REPLAY_ITEMS},
                       "; a batch can have no more replayed items, and has as many as others"));
    }
  }
  return options;
}

int Threads() {
  const int threads = absl::GetFlag(FLAGS_threads);
  return threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency());
}

// What one process keeps over all its sessions.
struct Process {
  TrainerOptions options;
  CpuDevice device;
  YieldToServing yield;
  std::unique_ptr<WorkerPool> pool;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<TrainerState> state;
  std::optional<DType> self_tested;  // The type that MatmulSelfTest was called with.
};

v1::Hello HelloOf(const Attachment& attachment, const TrainerState& state) {
  v1::Hello hello;
  const AttachReply& info = attachment.reader().info();
  hello.set_session_secret(std::string(info.secret.begin(), info.secret.end()));
  hello.set_canary(attachment.reader().canary());
  hello.set_checkpoint_digest(state.checkpoint_digest());
  hello.set_parent(state.parent());
  hello.set_step(state.step());
  hello.set_kernels(MatmulDescription());
  for (const auto& [id, count] : state.pass_book().counts()) {
    v1::FeedbackPassCount& entry = *hello.add_passes();
    entry.set_feedback_id(id);
    entry.set_passes(count.passes);
    entry.set_done(count.done);
    entry.set_quarantined(count.quarantined);
  }
  return hello;
}

// The link that the attachment's watcher ends when the server goes. The watcher may look while the
// loop lets the link go.
class LiveLink {
 public:
  void Set(ServerLink* link) {
    MutexLock lock(&mutex_);
    link_ = link;
  }
  void Cancel() {
    MutexLock lock(&mutex_);
    if (link_ != nullptr) link_->Cancel();
  }

 private:
  Mutex mutex_;
  ServerLink* link_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// One session, from attaching to its end. OK after a stop was asked for.
absl::Status RunSession(Process& process) {
  LiveLink live_link;
  std::atomic<bool> server_gone{false};
  ASSIGN_OR_RETURN(const std::unique_ptr<Attachment> attachment,
                   Attachment::Create(absl::GetFlag(FLAGS_runtime_dir) + "/store.sock", [&] {
                     server_gone = true;
                     live_link.Cancel();
                   }));
  if (process.state == nullptr) {
    ASSIGN_OR_RETURN(
        process.state,
        TrainerState::Open(absl::GetFlag(FLAGS_checkpoint_dir), process.options.optimizer,
                           attachment->model(), attachment->tokenizer_digest()));
  }
  if (const Model& model = attachment->model(); process.self_tested != model.dtype()) {
    RETURN_IF_ERROR(MatmulSelfTest(model.MatmulShapes(), model.dtype()));
    process.self_tested = model.dtype();
  }
  const AttachReply& info = attachment->reader().info();
  const std::unique_ptr<ServerLink> link = ServerLink::Connect(
      info.link_socket, info.store_epoch, info.session_epoch, HelloOf(*attachment, *process.state));
  live_link.Set(link.get());
  const ServingWatch watch(&process.yield, &attachment->reader().server_page());
  absl::StatusOr<std::unique_ptr<TrainerLoop>> loop =
      TrainerLoop::Create(process.options, {.attachment = attachment.get(),
                                            .link = link.get(),
                                            .state = process.state.get(),
                                            .device = &process.device,
                                            .stream = process.stream.get(),
                                            .clock = Clock::Real()});
  absl::Status status = loop.status();
  if (status.ok()) LOG(INFO) << "attached to the server, session " << info.session_epoch;
  while (status.ok() && !stop_requested && !server_gone) status = (*loop)->RunOnce(kLoopWaitUs);
  if (loop.ok() && status.ok() && !server_gone) status = (*loop)->Finish();
  // Nothing reads the server's memory any more, so that an error of ours ends the session in order
  // too.
  if (!server_gone) {
    if (stop_requested) LOG(INFO) << "stopping";
    attachment->ExpectEnd();
    link->SayGoodbye();
  }
  live_link.Set(nullptr);
  if (server_gone) return absl::UnavailableError("the server went away");
  return status;
}

// A stop is noticed between two turns; the signal only sets a flag.
void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { stop_requested = true; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

// Waits in small pieces, so that a stop is not waited for.
void WaitBeforeRetry(int64_t us) {
  for (int64_t waited = 0; waited < us && !stop_requested; waited += kLoopWaitUs) {
    std::this_thread::sleep_for(std::chrono::microseconds(kLoopWaitUs));
  }
}

// Whether a session that ended so can be followed by another from this process. When the server
// fenced us while it lives, only a new process is trusted again.
bool MayRetry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsNotFound(status) || absl::IsCancelled(status) ||
         absl::IsResourceExhausted(status);
}

absl::Status RunAttached() {
  if (absl::GetFlag(FLAGS_checkpoint_dir).empty()) {
    return absl::InvalidArgumentError("--checkpoint_dir is required");
  }
  Process process;
  ASSIGN_OR_RETURN(process.options, OptionsFromFlags());
  EnterIdleAutogroup();
  absl::Status result;
  // The loop's thread and the workers are idle-class; gRPC's and the heartbeat are not.
  std::thread compute([&] {
    process.pool = std::make_unique<WorkerPool>(
        WorkerPool::Options{.threads = Threads(), .idle_priority = true, .before_tile = [&] {
                              process.yield.BeforeTile();
                            }});
    process.stream = std::make_unique<Stream>(process.pool.get());
    if (const absl::Status idle = SetIdlePriority(); !idle.ok()) LOG(WARNING) << idle;
    int64_t retry_us = kRetryMinUs;
    while (!stop_requested) {
      const int64_t begun_us = Clock::Real()->MonotonicUs();
      const absl::Status status = RunSession(process);
      if (stop_requested) break;
      if (!MayRetry(status)) {
        result = status;
        return;
      }
      if (Clock::Real()->MonotonicUs() - begun_us > kRetryMaxUs) retry_us = kRetryMinUs;
      LOG_EVERY_T(INFO, 10) << "no session: " << status << "; trying again";
      WaitBeforeRetry(retry_us);
      retry_us = std::min(2 * retry_us, kRetryMaxUs);
    }
  });
  compute.join();
  return result;
}

absl::Status RunOfflineFromFlags() {
  OfflineOptions options;
  options.model_directory = absl::GetFlag(FLAGS_model);
  ASSIGN_OR_RETURN(options.dtype, ParseModelDType(absl::GetFlag(FLAGS_dtype)));
  options.items_file = absl::GetFlag(FLAGS_offline_items);
  options.adapters_dir = absl::GetFlag(FLAGS_adapters);
  options.output_file = absl::GetFlag(FLAGS_output);
  options.forward_rows = absl::GetFlag(FLAGS_forward_rows);
  if (options.model_directory.empty() || options.adapters_dir.empty() ||
      options.output_file.empty()) {
    return absl::InvalidArgumentError("--offline_items needs --model, --adapters and --output");
  }
  CpuDevice device;
  WorkerPool pool({.threads = Threads()});
  Stream stream(&pool);
  return RunOffline(options, device, stream);
}

int Main(int argc, char** argv) {
  ParseFlags(argc, argv,
             "Trains an adapter from feedback on what alchemist-server recorded.\n\n"
             "  alchemist-trainer --runtime_dir=DIR --checkpoint_dir=DIR\n"
             "  alchemist-trainer --offline_items=FILE --model=DIR --adapters=DIR --output=FILE\n");
  HandleSignals();
  const absl::Status status =
      absl::GetFlag(FLAGS_offline_items).empty() ? RunAttached() : RunOfflineFromFlags();
  if (status.ok()) return 0;
  std::cerr << "alchemist-trainer: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main(argc, argv); }
