// Batcher: runs the requests. Admits waiting ones as the forecast of K/V pages allows, runs one
// step for all that run (prompt chunks and decodes), samples, and ends sequences. It decides what
// of a prompt is recorded; no room for a record never delays or fails a request. Owned by
// ServingLoop, on its thread.
#ifndef ALCHEMIST_SERVER_BATCHER_H_
#define ALCHEMIST_SERVER_BATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "activation_store/store.h"
#include "base/clock.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/stream.h"
#include "model/activation_layout.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "server/completion.h"
#include "server/completion_stream.h"
#include "server/fair_queue.h"
#include "server/kv_forecast.h"
#include "server/request_log.h"
#include "server/request_metrics.h"
#include "server/response_recorder.h"
#include "server/retry_pushback.h"
#include "server/scheduler.h"
#include "server/sequence.h"
#include "server/step_log.h"

namespace alchemist {

enum class RecordMode {
  kOff,
  kPrefill,  // Prompts.
  kAll,      // Answers, too.
};

struct BatcherOptions {
  int64_t running_max = 16;
  int64_t waiting_max = 256;
  SchedulerLimits scheduler;  // Its prompt_key_cost is the model's.
  RecordMode record = RecordMode::kPrefill;
  bool prefix_cache = true;                // Prompts go on from recorded prefixes.
  int64_t reader_timeout_us = 30'000'000;  // A reader that takes nothing for this long is gone.
};

// A completion that ended by itself, for the log. 0: not recorded.
struct FinishedCompletion {
  CompletionRow row;
  std::string request_id;           // For the server's log; the completion's row does not have it.
  uint64_t record_id = 0;           // Of the prompt.
  uint64_t response_record_id = 0;  // Of the answer, which goes on from that of the prompt.
};

class Batcher {
 public:
  // Rows of a prompt whose log-probs are wanted, in one step.
  static constexpr int64_t kScoredRowsMax = 64;

  // All pointers outlive the batcher. `on_finished` is called before the client gets the end.
  // `poll` is called between layers, so that commands never wait for a whole chunk.
  struct Parts {
    const Model* model = nullptr;
    const Tokenizer* tokenizer = nullptr;
    const ActivationLayout* layout = nullptr;
    ActivationStore* store = nullptr;
    const Clock* clock = nullptr;
    Stream* stream = nullptr;
    // The revision a request runs at; called when its turn comes.
    std::function<std::shared_ptr<const ServedRevision>(const CompletionRequest&)> pin;
    std::function<void(FinishedCompletion)> on_finished;
    std::function<void()> poll;
  };
  // Since the start.
  struct Counters {
    int64_t recorded = 0, unrecorded = 0;  // Requests whose prompt was run.
    int64_t answers_recorded = 0;
    int64_t refused = 0;  // For want of room in the queue.
    int64_t preempted = 0;
    int64_t prompt_tokens = 0, prefix_tokens = 0;  // Of admitted prompts; those found recorded.
    int64_t generation_tokens = 0;                 // Of answers.
    // How choices ended: by themselves, or as EndIfGone says.
    int64_t eos = 0, length = 0, stop = 0;
    int64_t cancelled = 0, aborted = 0, unread = 0;
  };

  static absl::StatusOr<std::unique_ptr<Batcher>> Create(BatcherOptions options, Parts parts,
                                                         Device& device);

  // ResourceExhausted, with a retry pushback, when the queue is full; InvalidArgument for more than
  // tokens_max(). A full queue makes room for a tenant by refusing the last request of the one that
  // has most waiting.
  absl::Status Add(CompletionRequest request, std::shared_ptr<CompletionStream> stream);
  // Those of `request_ids` that are `tenant`'s and wait or run end within one step, as Cancelled.
  // Returns which they are; others have ended, or never were.
  std::vector<std::string> Abort(const std::set<std::string>& request_ids,
                                 const std::string& tenant);
  // From here on Add answers Unavailable; what runs or waits goes on.
  void Drain() { draining_ = true; }
  // Admits, then runs one step. False when there was nothing to do.
  bool RunStep();
  // Ends everything with `status`.
  void FailAll(const absl::Status& status);

  // The longest prompt with answer that the K/V pages hold.
  int64_t tokens_max() const { return pages_total() * kKvPageTokens; }
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return waiting_.size() + static_cast<int64_t>(set_aside_.size()); }
  // Whether a step would run: not while all that is left waits for its readers.
  bool HasWork() const;
  const Counters& counters() const { return counters_; }
  const RequestMetrics& metrics() const { return metrics_; }
  std::string Inspect() const;  // A line per request, for people: those that run, those that wait.
  const StepLog& step_log() const { return step_log_; }
  void CheckInvariants() const;

 private:
  using SequencePtr = std::unique_ptr<Sequence>;
  // Rows of several sequences that run together: one phase, one place for activations.
  struct StepGroup {
    struct Part {
      Sequence* sequence = nullptr;
      int64_t rows = 0;
      bool wants_head = false;
      bool scored = false;  // All its rows are head rows, for prompt_logprobs.
    };
    std::vector<Part> parts;
    ForwardGroup forward;
  };

  Batcher(const BatcherOptions& options, Parts parts)
      : options_(options),
        parts_(std::move(parts)),
        responses_(parts_.layout, parts_.store),
        log_(parts_.clock) {}

  // ---- Who runs: batcher.cc. Pages are those of all layers. ----
  int64_t pages_total() const { return parts_.store->serving_kv_pages() / parts_.layout->layers(); }
  int64_t pages_free() const {
    return parts_.store->serving_kv_pages_free() / parts_.layout->layers();
  }
  SequencePtr MakeSequence(CompletionRequest request,
                           std::shared_ptr<CompletionStream> stream) const;
  int64_t PlacesTaken() const;
  absl::Status MakeRoomFor(const CompletionRequest& request);
  absl::Status MakeRoom(const std::string& tenant, int64_t choices);
  void Admit();
  void OnAdmitted(Sequence& sequence);
  bool Start(Sequence& sequence);
  bool MayRecord(const Sequence& sequence) const;
  bool Fits(const Sequence& sequence, int64_t record_tokens) const;
  KvGrowth GrowthOf(const Sequence& sequence, int64_t record_tokens) const;
  RecordIdentity IdentityOf(const Sequence& sequence) const;
  void FindPrefix(Sequence& sequence) const;
  bool BeginRecord(Sequence& sequence);
  void UsePrefix(Sequence& sequence);
  void Preempt(const std::vector<int64_t>& sequences);
  void GiveBack(Sequence& sequence);
  void Fail(Sequence& sequence, const absl::Status& status);
  void EndRecord(Sequence& sequence);
  void RemoveFinished();
  StepPlan Plan() const;

  // ---- Who is read, and who is gone: batcher_readers.cc ----
  void DropGone();
  bool EndIfGone(Sequence& sequence);
  bool ReaderIsGone(Sequence& sequence) const;
  void EndUnread(Sequence& sequence);
  bool SetAsideUnread();
  void TakeBackRead();
  bool DropSetAside();
  void PushEnd(const Sequence& sequence, CompletionEnd end);
  void EndUnreadCalls();

  // ---- One step: batcher_step.cc ----
  void RunPlan(const StepPlan& plan);
  void AddPart(StepGroup& group, Sequence& sequence, int64_t rows);
  const Block* BlockFor(const StepGroup& recorded);
  void AbandonLongest(StepGroup& recorded, StepGroup& unrecorded);
  void RecordGroup(StepGroup& recorded, StepGroup& unrecorded);
  void RunGroup(StepGroup& group);
  TensorView Logits(ForwardGroup& forward);
  void AfterPrompt(Sequence& sequence);
  void ScorePrompt(Sequence& sequence, int64_t first_row, TensorView logits);
  void SplitChoices(Sequence& sequence, const float* logits);
  void TakeToken(Sequence& sequence, const float* logits);
  void CountEnd(const Sequence& sequence, FinishReason reason, int64_t tokens);
  void Finish(Sequence& sequence, FinishReason reason);

  const BatcherOptions options_;
  const Parts parts_;
  std::optional<ForwardScratch> scratch_;  // Always there after Create.
  ResponseRecorder responses_;
  Buffer logits_;  // [max(running_max, kScoredRowsMax), vocab] f32
  FairQueue<SequencePtr> waiting_;
  std::vector<SequencePtr> running_;  // In order of admission.
  // Were admitted and gave their places to others, since their readers do not keep up. They wait
  // for that, and then again in the queue, by which they run meanwhile.
  std::vector<SequencePtr> set_aside_;
  // Answers that have ended, until they are read or their calls are gone.
  struct EndedCall {
    std::shared_ptr<CompletionStream> stream;
    std::string log_id;
    UnreadTime unread;
  };
  std::vector<EndedCall> ended_;
  LengthForecast lengths_;
  QueuePace pace_;
  bool draining_ = false;
  Counters counters_;
  RequestMetrics metrics_;
  StepLog step_log_;
  RequestLog log_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_BATCHER_H_
