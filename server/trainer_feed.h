// TrainerFeed: the server's side of the link. Holds the session with the one trainer, takes leases
// and sends items as far as the trainer asked for them, and carries publishing and progress to the
// log. What is still to be trained stands in the log alone: the feed only keeps how far it has
// read. Owned by ServingLoop; all calls on its thread. Nothing here makes serving wait.
#ifndef ALCHEMIST_SERVER_TRAINER_FEED_H_
#define ALCHEMIST_SERVER_TRAINER_FEED_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "activation_store/attach_listener.h"
#include "activation_store/control_pages.h"
#include "activation_store/store.h"
#include "activation_store/trainer_session.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/status.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "proto/alchemist/v1/feedback.pb.h"
#include "proto/alchemist/v1/link.pb.h"
#include "server/adapter_registry.h"
#include "server/held_time.h"
#include "server/log_thread.h"
#include "server/publisher.h"

namespace alchemist {

// Messages to the trainer, in order. Bounded: a trainer that does not read loses its session.
using LinkOutbox = BoundedQueue<v1::ServerMessage>;
inline constexpr int64_t kLinkOutboxMax = 4096;

// What is recorded of a completion; 0: nothing.
struct CompletionRecords {
  uint64_t prompt = 0;
  uint64_t response = 0;  // Goes on from that of the prompt.
};

class TrainerFeed {
 public:
  struct Parts {
    ActivationStore* store = nullptr;
    AdapterRegistry* registry = nullptr;
    LogThread* log = nullptr;
    Publisher* publisher = nullptr;
    const Clock* clock = nullptr;
    ServerPage* server_page = nullptr;
    uint64_t store_epoch = 0;
    uint64_t canary = 0;
    BaseId base;
    std::string kernels;  // What this process runs: MatmulDescription.
    // Runs a function on the serving loop's thread; called on the log's and the publisher's.
    std::function<void(std::function<void()>)> post_to_loop;
    // As AttachListener's.
    std::function<void(uint64_t)> kill_trainer;
    std::function<void(uint64_t)> end_attachment;
  };
  explicit TrainerFeed(Parts parts) : parts_(std::move(parts)) {}

  void OnAttachEvent(const AttachEvent& event);
  // The first message of a Link.Session. PermissionDenied for a wrong secret or canary,
  // FailedPrecondition when no trainer is attached, it runs other kernels, or its checkpoint is not
  // of this log. `outbox` is closed when the session ends. `ready` is called once, possibly later.
  void OnHello(const v1::TrainerMessage& message, std::shared_ptr<LinkOutbox> outbox,
               std::function<void(absl::Status)> ready);
  void OnMessage(uint64_t session_epoch, const v1::TrainerMessage& message);
  void OnLinkEnd(uint64_t session_epoch);
  void Tick();

  void OnFinished(const std::string& completion_id, const CompletionRecords& records);
  // Feedback is durable, and is acknowledged with `disposition`.
  void OnFeedbackCommitted(v1::Disposition disposition, bool trainable);
  void OnRollback();  // An operator's.
  void SetPaused(bool paused);

  bool HoldsRecord(const std::string& completion_id) const;
  // What was recorded of a completion, as far as it is known still; it may be evicted.
  CompletionRecords RecordsOf(const std::string& completion_id) const;
  bool active() const { return session_.state() == SessionState::kActive; }
  bool paused() const { return paused_.is_held(); }
  int64_t PausedUs() const { return paused_.TotalUs(parts_.clock->MonotonicUs()); }
  v1::TrainerState state() const;
  // What the log knows of earlier lives of the server. Before anything else.
  void Restore(const StepTotals& totals);
  const v1::TokenCounts& tokens() const { return tokens_; }
  // These count from the start.
  const v1::FeedbackCounts& feedback_counts() const { return feedback_counts_; }
  const v1::RevisionCounts& revision_counts() const { return revision_counts_; }
  int64_t steps() const { return steps_; }
  std::string Inspect() const;

 private:
  void Apply(SessionAction action);
  void FinishHello(uint64_t session_epoch, absl::Status status, std::shared_ptr<LinkOutbox> outbox,
                   bool adopt, const std::function<void(absl::Status)>& ready);
  void Fail(absl::string_view why);
  void Send(v1::ServerMessage message);
  void SendItems(const std::vector<UnfinishedFeedback>& unfinished);
  void FetchItems();
  void FetchReplay(const v1::ItemRequest& request);
  void AttachRecord(const std::string& completion_id, v1::FeedbackItem& item);
  void OnPublish(const v1::Publish& publish);
  void SendRollback();
  void RetireRevisions();
  void OnPublished(uint64_t session_epoch, uint64_t request_id,
                   absl::StatusOr<std::shared_ptr<const ServedRevision>> published);
  void OnProgress(const v1::Progress& progress);
  void AddTokens(const v1::TokensRun& tokens);
  void ForgetLostRecords();

  const Parts parts_;
  TrainerSession session_;
  std::array<uint8_t, 16> secret_ = {};
  std::shared_ptr<const SharedMemory> trainer_page_;
  std::shared_ptr<LinkOutbox> outbox_;  // Null before the hello.
  uint64_t sent_ = 0;                   // Sequence numbers of the session.
  uint64_t received_ = 0;
  int64_t credit_ = 0;    // Feedback items the trainer asked for.
  int64_t sent_seq_ = 0;  // The log is sent up to here.
  bool more_in_log_ = false;
  bool fetching_ = false;
  int64_t fetch_after_us_ = 0;
  HeldTime paused_;
  v1::FeedbackCounts feedback_counts_;
  v1::RevisionCounts revision_counts_;
  uint64_t stale_messages_ = 0;
  v1::TokenCounts tokens_;
  int64_t steps_ = 0;
  // By completion id; some may be evicted.
  std::unordered_map<std::string, CompletionRecords> records_;
  int64_t records_swept_size_ = 1024;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_TRAINER_FEED_H_
