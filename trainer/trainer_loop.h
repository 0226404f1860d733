// TrainerLoop: one session with a server: takes items and replay, makes passes, publishes. One
// thread. RunOnce is one turn, so that tests can drive it by hand. What outlives the session is
// TrainerState's.
#ifndef ALCHEMIST_TRAINER_TRAINER_LOOP_H_
#define ALCHEMIST_TRAINER_TRAINER_LOOP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/reusing_device.h"
#include "kernels/stream.h"
#include "trainer/attachment.h"
#include "trainer/item_pool.h"
#include "trainer/revision_cache.h"
#include "trainer/server_link.h"
#include "trainer/trainer_state.h"
#include "trainer/training_step.h"

namespace alchemist {

struct TrainerOptions {
  BatchLimits batch;
  OptimizerOptions optimizer;
  int64_t passes_max = 40;
  double done_loss = 0.02;        // An item whose loss is below needs no further pass.
  double drift_max = 2.0;         // Of a record that a first pass reads,
  double repeat_drift_max = 0.0;  // and of one that a later pass or a replay reads.
  int64_t own_record_bytes = int64_t{256} << 20;
  int64_t publish_interval_us = 2'000'000;
  int64_t items_ahead = 256;   // Items held at most.
  int64_t forward_rows = 512;  // Rows of one forward call.
  uint64_t replay_wait_us = 1'000'000;
  std::string dump_gradients;  // Folder for the gradients of each step; "" is none.
};

class TrainerLoop {
 public:
  struct Parts {
    const Attachment* attachment = nullptr;
    ServerLink* link = nullptr;
    TrainerState* state = nullptr;
    Device* device = nullptr;
    Stream* stream = nullptr;
    const Clock* clock = nullptr;
  };
  // Waits for the server's welcome; adopts its serving revision where the state does not descend
  // from it. All parts outlive the loop.
  static absl::StatusOr<std::unique_ptr<TrainerLoop>> Create(const TrainerOptions& options,
                                                             Parts parts);

  // Takes messages, and makes a step or publishes when there is reason to; waits up to `wait_us`
  // when there is nothing to do. An error ends the session.
  absl::Status RunOnce(int64_t wait_us);
  // The end of an orderly session: hears how the last publish ended, and saves what no checkpoint
  // holds yet.
  absl::Status Finish();

 private:
  // What a step computes an item with.
  struct Source {
    std::shared_ptr<const LoraAdapter> adapter;
    std::optional<RecordView> record;    // None: the prompt is run.
    std::optional<RecordView> response;  // None: the response is run.
    bool served = false;                 // `record` is the server's, under lease.
    bool beyond_drift = false;
  };
  struct PendingPublish {
    uint64_t request_id = 0;
    std::shared_ptr<const LoraAdapter> adapter;
    std::map<std::string, int64_t> lineage;
    std::vector<std::string> settled;
  };

  TrainerLoop(const TrainerOptions& options, Parts parts)
      : options_(options), parts_(parts), step_memory_(parts.device) {}
  absl::Status Begin(const v1::Welcome& welcome);
  absl::Status SaveState();
  absl::Status Handle(const v1::ServerMessage& message);
  absl::Status OnItem(const v1::FeedbackItem& message);
  void OnReplayBatch(const v1::ReplayBatch& batch);
  void DropReplay();
  absl::Status OnPublishResult(const v1::PublishResult& result);
  absl::Status OnRollback(const v1::Revision& revision);
  void RequestItems();
  bool StepIsDue() const;
  bool ReplayIsReady();
  PooledItem PooledItemOf(TrainingItem item, const v1::FeedbackItem& message) const;

  absl::Status Step();
  absl::Status RunBatch(std::vector<PooledItem*> batch, size_t feedback_items);
  Source SourceOf(PooledItem& item);
  void ReleaseLayer(const std::vector<PooledItem*>& batch, const std::vector<Source>& sources,
                    int64_t layer, bool& stale);
  void ReleaseAll(PooledItem& item);
  void AfterPass(const std::vector<PooledItem*>& batch, size_t feedback_items,
                 const std::vector<Source>& sources, const StepOutcome& outcome);
  void OnNotFinite(const std::vector<PooledItem*>& batch, size_t feedback_items,
                   const StepOutcome& outcome);
  bool RefuseReplay(const std::vector<PooledItem*>& batch, size_t feedback_items,
                    const StepOutcome& outcome);
  void Count(const PooledItem& item, const Source& source, bool prompt_run);
  void KeepPrompts(const std::vector<PooledItem*>& batch, size_t feedback_items,
                   const std::vector<Source>& sources, const StepOutcome& outcome);
  bool PublishIsDue() const;
  absl::Status Publish();
  absl::Status DumpStep(const std::vector<PooledItem*>& batch, const std::vector<Source>& sources);

  const TrainerOptions options_;
  const Parts parts_;
  ReusingDevice step_memory_;  // Before all that holds Buffers of it.
  v1::Base base_;
  std::string incoming_dir_;
  std::unique_ptr<RevisionCache> revisions_;
  std::unique_ptr<TrainingStep> training_step_;
  std::unique_ptr<AdapterGradients> gradients_;
  std::shared_ptr<const LoraAdapter> current_;  // A copy of the weights as they are.
  ItemPool pool_;
  std::vector<PooledItem> replay_;
  std::set<std::string> refused_replay_;  // Item ids: their loss was not finite.
  bool replay_requested_ = false;
  bool replay_arrived_ = false;
  int64_t replay_deadline_us_ = 0;
  int64_t last_step_us_ = 0;
  int64_t items_requested_ = 0;  // Asked for and not yet received.
  bool paused_ = false;
  std::optional<PendingPublish> publishing_;
  uint64_t next_request_id_ = 1;
  int64_t last_publish_us_ = 0;
  bool unpublished_ = false;
  std::string published_digest_;         // Of the weights that serve.
  v1::TokensRun tokens_;                 // Since the last progress message.
  std::set<std::string> record_reused_;  // Likewise.
  double last_loss_ = 0;
  double last_update_norm_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_TRAINER_LOOP_H_
