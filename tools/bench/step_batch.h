// StepBatch: one batch of training, of random tokens in given lengths, whose prompts an
// InProcessServer has served and recorded; and steps over it, timed by phase. One thread.
#ifndef ALCHEMIST_TOOLS_BENCH_STEP_BATCH_H_
#define ALCHEMIST_TOOLS_BENCH_STEP_BATCH_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/reusing_device.h"
#include "model/adapter_gradients.h"
#include "tools/bench/flops.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/leased_records.h"
#include "tools/bench/request_lengths.h"
#include "trainer/training_item.h"
#include "trainer/training_step.h"

namespace alchemist {

// Seconds of one step, from its items to its gradient. Those that read records map them first.
struct StepTimes {
  double all = 0;
  double prompts = 0;    // The forward that reuse removes.
  double responses = 0;  // Forward through the layers.
  double head = 0;       // Log-probs and their gradients; the backward pass takes its memory here.
  double backward = 0;
};

struct StepFlops {
  Flops prompts;
  Flops responses;
  Flops head;
  Flops backward;
  double total() const;
};

class StepBatch {
 public:
  // Serves and leases the prompts. `server` must outlive the batch.
  static absl::StatusOr<std::unique_ptr<StepBatch>> Create(
      absl::Span<const RequestLengths> requests, InProcessServer* server,
      const std::string& socket_path);

  // The whole gradient of the batch goes to `gradients`.
  absl::StatusOr<StepTimes> Run(bool reads_records, AdapterGradients* gradients);

  StepFlops CountFlops() const;  // With the prompts run.

 private:
  explicit StepBatch(InProcessServer* server) : server_(server), step_memory_(&server->device()) {}
  absl::Status ServePrompts();

  InProcessServer* const server_;
  ReusingDevice step_memory_;  // As the trainer has it.
  std::vector<TrainingItem> items_;
  std::unique_ptr<LeasedRecords> leases_;
  std::vector<RecordDescriptor> records_;  // Per item.
  std::unique_ptr<TrainingStep> step_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_STEP_BATCH_H_
