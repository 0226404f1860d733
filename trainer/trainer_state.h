// TrainerState: what the trainer keeps from one session with a server to the next, and in
// checkpoints: the adapter and its optimizer, passes, drift, lineage. Owned by the trainer's main
// loop.
#ifndef ALCHEMIST_TRAINER_TRAINER_STATE_H_
#define ALCHEMIST_TRAINER_TRAINER_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "model/model.h"
#include "trainer/checkpoint.h"
#include "trainer/drift.h"
#include "trainer/optimizer.h"
#include "trainer/pass_book.h"
#include "trainer/training_item.h"

namespace alchemist {

class TrainerState {
 public:
  // Goes on from the newest checkpoint in `directory` (made if absent), if there is one.
  static absl::StatusOr<std::unique_ptr<TrainerState>> Open(const std::string& directory,
                                                            const OptimizerOptions& options,
                                                            const Model& model,
                                                            const std::string& tokenizer_digest);

  // False until the first checkpoint was loaded, or the first revision adopted.
  bool has_adapter() const { return optimizer_ != nullptr; }
  // True when nothing since the newest checkpoint would be lost.
  bool has_checkpoint() const { return has_checkpoint_; }

  // Begins at a published revision with fresh moments: at first start, and after a rollback. Passes
  // are not given back.
  void Adopt(const RevisionName& revision, std::unique_ptr<LoraAdapter> adapter);
  // Weights whose lineage since the parent was `lineage` were published as `revision`, the parent
  // of what follows.
  void OnPublished(const RevisionName& revision, std::map<std::string, int64_t> lineage);
  // An optimizer step; the passes it made are added after it.
  Optimizer::Update Step(AdapterGradients& ascent, Stream& stream);
  void AddPass(const std::string& feedback_id, bool done);
  void MarkDone(const std::string& feedback_id);
  // Done with what it has: its own gradient is not finite.
  void Quarantine(const std::string& feedback_id);
  // The server knows of more passes than the checkpoint: they are in the weights we begin with.
  void RaisePasses(const std::string& feedback_id, int64_t passes);

  // A copy of the current weights, digest up to date, that others may keep.
  std::shared_ptr<const LoraAdapter> Snapshot() const;
  // Saves a checkpoint of `snapshot`, which is the current weights, and marks it on the drift path.
  absl::Status Save(const LoraAdapter& snapshot, const Model& model,
                    const std::string& tokenizer_digest);

  // Forgets revisions whose records are beyond `drift_max` for good.
  void ForgetDriftBeyond(double drift_max) { drift_.ForgetBeyond(drift_max); }

  const Drift& drift() const { return drift_; }
  const PassBook& pass_book() const { return passes_; }
  PassBook& pass_book() { return passes_; }
  const std::map<std::string, int64_t>& lineage() const { return lineage_; }
  uint64_t parent() const { return parent_; }
  int64_t step() const { return step_; }
  const LoraAdapter& adapter() const { return optimizer_->adapter(); }
  // Digest and lineage of the weights of the newest checkpoint; empty without one.
  const std::string& checkpoint_digest() const { return checkpoint_digest_; }
  const std::map<std::string, int64_t>& checkpoint_lineage() const { return checkpoint_lineage_; }

 private:
  TrainerState(std::string directory, const OptimizerOptions& options)
      : directory_(std::move(directory)), options_(options) {}

  const std::string directory_;
  const OptimizerOptions options_;
  std::unique_ptr<Optimizer> optimizer_;
  Drift drift_;
  PassBook passes_;
  std::map<std::string, int64_t> lineage_;
  uint64_t parent_ = 0;
  int64_t step_ = 0;
  bool has_checkpoint_ = false;
  std::string checkpoint_digest_;
  std::map<std::string, int64_t> checkpoint_lineage_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_TRAINER_STATE_H_
