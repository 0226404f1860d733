// Checkpoints: directories from which the trainer goes on after a crash: adapter (a PEFT
// directory), AdamW moments, step, parent revision, passes per feedback, drift marks, and a
// manifest of checksums written last. Made aside, synced, renamed; only one whose manifest verifies
// is ever loaded.
//
//   <dir>/step-<step>/{adapter/, moments.safetensors, state.json, MANIFEST.json}
#ifndef ALCHEMIST_TRAINER_CHECKPOINT_H_
#define ALCHEMIST_TRAINER_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "model/adapter_gradients.h"
#include "model/lora_adapter.h"
#include "model/model.h"
#include "trainer/drift.h"
#include "trainer/pass_book.h"

namespace alchemist {

struct CheckpointState {
  int64_t step = 0;             // Of this trainer's life; grows by one each step.
  int64_t optimizer_steps = 0;  // Since the moments were fresh.
  uint64_t parent = 0;          // Revision the weights descend from.
  std::string base_digest;
  std::string tokenizer_digest;
  std::map<std::string, PassCount> passes;
  std::map<std::string, int64_t> lineage;  // Passes since the parent, by feedback id.
  double drift_path = 0;
  double adapter_norm = 0;
  std::map<std::string, double> drift_marks;
};

struct Checkpoint {
  CheckpointState state;
  std::unique_ptr<LoraAdapter> adapter;
  std::optional<AdapterGradients> first_moment;  // Always there when loaded.
  std::optional<AdapterGradients> second_moment;
};

// Writes <directory>/step-<step>; keeps the newest `keep` ones. `adapter`'s digest is up to date.
absl::Status SaveCheckpoint(const std::string& directory, const CheckpointState& state,
                            const LoraAdapter& adapter, AdapterGradients& first_moment,
                            AdapterGradients& second_moment, const Model& model, int keep);

// The newest checkpoint that verifies; nullopt when there is none. FailedPrecondition when it is of
// another base model or tokenizer. Damaged ones are reported and passed over.
absl::StatusOr<std::optional<Checkpoint>> LoadNewestCheckpoint(const std::string& directory,
                                                               const Model& model,
                                                               const std::string& tokenizer_digest);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_CHECKPOINT_H_
