// Batcher: runs the requests. Admits waiting ones when there are K/V pages, runs one step for all
// that run (prompt chunks and decodes), samples, and ends sequences. It decides what of a prompt is
// recorded; no room for a record never delays or fails a request. Owned by ServingLoop, on its
// thread.
#ifndef ALCHEMIST_SERVER_BATCHER_H_
#define ALCHEMIST_SERVER_BATCHER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
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
#include "server/scheduler.h"
#include "server/sequence.h"
#include "server/step_log.h"

namespace alchemist {

struct BatcherOptions {
  int64_t running_max = 16;
  int64_t waiting_max = 256;
  SchedulerLimits scheduler;
  bool record_prompts = true;
  int64_t reader_timeout_us = 30'000'000;  // A reader that takes nothing for this long is gone.
};

// A completion that ended by itself, for the log; `record_id` is 0 when nothing was recorded.
struct FinishedCompletion {
  CompletionRow row;
  uint64_t record_id = 0;
};

class Batcher {
 public:
  // All pointers outlive the batcher. `on_finished` is called before the client gets the end.
  // `poll` is called between layers, so that commands never wait for a whole chunk.
  struct Parts {
    const Model* model = nullptr;
    const Tokenizer* tokenizer = nullptr;
    const ActivationLayout* layout = nullptr;
    ActivationStore* store = nullptr;
    const Clock* clock = nullptr;
    Stream* stream = nullptr;
    // The revision a request runs at; called when it is admitted.
    std::function<std::shared_ptr<const ServedRevision>(const CompletionRequest&)> pin;
    std::function<void(FinishedCompletion)> on_finished;
    std::function<void()> poll;
  };
  static absl::StatusOr<std::unique_ptr<Batcher>> Create(const BatcherOptions& options, Parts parts,
                                                         Device& device);

  // ResourceExhausted when the queue is full, or the request could never get its K/V pages.
  absl::Status Add(CompletionRequest request, std::shared_ptr<CompletionStream> stream);
  // From here on Add answers Unavailable; what runs or waits goes on.
  void Drain() { draining_ = true; }
  // Admits, then runs one step. False when there was nothing to do.
  bool RunStep();
  // Ends everything with `status`.
  void FailAll(const absl::Status& status);

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t requests_recorded() const { return requests_recorded_; }
  int64_t requests_unrecorded() const { return requests_unrecorded_; }
  const StepLog& step_log() const { return step_log_; }

 private:
  // Rows of several sequences that run together: one phase, one place for activations.
  struct StepGroup {
    struct Part {
      Sequence* sequence = nullptr;
      int64_t rows = 0;
      bool wants_head = false;
    };
    std::vector<Part> parts;
    ForwardGroup forward;
  };

  Batcher(const BatcherOptions& options, Parts parts)
      : options_(options), parts_(std::move(parts)) {}
  void Admit();
  bool Start(Sequence& sequence);
  bool BeginRecord(Sequence& sequence);
  void DropGone();
  bool ReaderIsGone(Sequence& sequence) const;
  StepPlan Plan() const;
  void AddPart(StepGroup& group, Sequence& sequence, int64_t rows);
  void RecordGroup(StepGroup& recorded, StepGroup& unrecorded);
  void RunGroup(StepGroup& group);
  void AfterPrefill(Sequence& sequence, int64_t rows);
  void TakeToken(Sequence& sequence, const float* logits);
  void Finish(Sequence& sequence, FinishReason reason);
  void EndRecord(Sequence& sequence);
  void RemoveFinished();

  const BatcherOptions options_;
  const Parts parts_;
  std::optional<ForwardScratch> scratch_;  // Always there after Create.
  Buffer logits_;                          // [running_max, vocab] f32
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  // In order of admission.
  bool draining_ = false;
  int64_t requests_recorded_ = 0;
  int64_t requests_unrecorded_ = 0;
  StepLog step_log_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_BATCHER_H_
