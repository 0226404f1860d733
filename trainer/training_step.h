// TrainingStep: the gradient of one batch, however its prompts came: read from the server's
// records, from the trainer's own, or run here. The attached and the offline trainer share it, and
// it gives the same bits for the same items whichever way each prompt came. One per trainer, one
// thread.
//
// Items that are answers to one prompt at one revision share its rows (a forest): the first of them
// brings the record, if any does.
#ifndef ALCHEMIST_TRAINER_TRAINING_STEP_H_
#define ALCHEMIST_TRAINER_TRAINING_STEP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/stream.h"
#include "model/activation_layout.h"
#include "model/adapter_gradients.h"
#include "model/backward.h"
#include "model/forward_scratch.h"
#include "model/model.h"
#include "model/own_record.h"
#include "trainer/objective.h"
#include "trainer/record_view.h"
#include "trainer/training_item.h"

namespace alchemist {

struct StepItem {
  const TrainingItem* item = nullptr;
  const LoraAdapter* adapter = nullptr;         // The revision everything here is computed at.
  const RecordView* prompt_record = nullptr;    // Null: the prompt is run.
  const RecordView* response_record = nullptr;  // Null: the response is run.
};

// One part of a record that holds all prompts run in one step.
struct OwnPrompt {
  std::shared_ptr<OwnRecord> record;
  int part = 0;
};

// The parts of a step, in order; one is done when its results are there.
enum class StepPhase {
  kPrompts,    // Activations of the prompts that were run here.
  kResponses,  // The same of the responses.
  kHead,       // Log-probs of the trained tokens, and their gradients at the head.
};

struct StepOutcome {
  double loss = 0;
  std::vector<double> item_loss;  // Per item.
  // Per item: the prompt that was run here for it, or no record (read from one, or shared with an
  // earlier item).
  std::vector<OwnPrompt> own_prompts;
  int64_t prompt_rows_read = 0;
  int64_t prompt_rows_run = 0;
  int64_t response_rows_read = 0;
  int64_t response_rows_run = 0;
};

class TrainingStep {
 public:
  // All arguments must outlive the step. At most `rows_max` rows go through the forward at once.
  static absl::StatusOr<std::unique_ptr<TrainingStep>> Create(const Model* model,
                                                              const ActivationLayout* layout,
                                                              int64_t rows_max, Device* device,
                                                              Stream* stream);

  // Adds the batch's gradient to `gradients`. `layer_done` as BackwardOptions; `phase_done` is told
  // when each phase is, the rest being the backward pass. ResourceExhausted when the device has no
  // room; then nothing was added.
  absl::StatusOr<StepOutcome> Run(
      const std::vector<StepItem>& items, AdapterGradients* gradients,
      std::function<void(int64_t)> layer_done,
      const std::function<void(StepPhase)>& phase_done = [](StepPhase) {});

 private:
  // A prompt of the batch, shared by all items that continue it.
  struct Prompt {
    const StepItem* first = nullptr;
    OwnPrompt own;  // When it is run here.
    RecordView record;
  };
  struct Batch {
    std::vector<Prompt> prompts;
    std::vector<int> prompt_of;            // Per item: index of its prompt.
    std::shared_ptr<OwnRecord> responses;  // One part per item with response rows.
    std::vector<int> response_part;        // Per item, or -1: nothing of it is run.
    std::vector<BackwardNode> nodes;
    std::vector<TrainedToken> trained;  // Item after item.
  };
  // Rows of one sequence to run forward, after the positions that `prefix` holds.
  struct RowsToRun {
    absl::Span<const int32_t> tokens;
    const RecordView* prefix = nullptr;
    const LoraAdapter* adapter = nullptr;
    OwnRecord::Part part;
  };

  TrainingStep(const Model* model, const ActivationLayout* layout, Device* device, Stream* stream)
      : model_(model), layout_(layout), device_(device), stream_(stream) {}
  static void FindPrompts(const std::vector<StepItem>& items, Batch& batch);
  absl::Status RunPrompts(Batch& batch);
  absl::Status RunResponses(const std::vector<StepItem>& items, Batch& batch);
  absl::StatusOr<std::shared_ptr<OwnRecord>> RunAll(const std::vector<RowsToRun>& all);
  void RunGroup(std::vector<ForwardSpan> spans, std::vector<int32_t> tokens, int64_t first_row,
                OwnRecord& record);
  void MakeNodes(const std::vector<StepItem>& items, Batch& batch) const;

  const Model* const model_;
  const ActivationLayout* const layout_;
  Device* const device_;
  Stream* const stream_;
  std::optional<ForwardScratch> scratch_;  // Always there after Create.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_TRAINING_STEP_H_
