// AdapterRegistry: which revision serves, which sessions stay on an earlier one, and what
// publishing and rolling back do on disk: revisions are PEFT directories
// <data_dir>/revisions/<adapter_id>/<number>, immutable once they stand there, and removed when
// nothing needs them. Serving state belongs to the serving loop's thread; the functions marked
// "publisher" touch only the disk and the log.
#ifndef ALCHEMIST_SERVER_ADAPTER_REGISTRY_H_
#define ALCHEMIST_SERVER_ADAPTER_REGISTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "model/lora_adapter.h"
#include "model/model.h"
#include "server/feedback_log.h"
#include "server/served_revision.h"

namespace alchemist {

inline constexpr char kDefaultAdapter[] = "default";

// NotFound unless it is "" or the one adapter there is. Any thread.
absl::Status CheckAdapterId(const std::string& adapter_id);

// A candidate revision as the trainer announced it.
struct PublishCandidate {
  std::string directory;  // A plain name below incoming_dir().
  int64_t parent = 0;
  std::string digest;
  int64_t step = 0;
  std::vector<FeedbackPasses> lineage;
  std::vector<FeedbackProgress> settled;  // Done with the passes they have.
};

class AdapterRegistry {
 public:
  struct Options {
    std::string data_dir;
    LoraConfig adapter;  // Of revision 0, when the data directory is new.
    uint64_t adapter_seed = 1;
    int64_t session_revision_us = 300'000'000;
    int64_t sessions_max = 100'000;
    int64_t revisions_kept = 16;  // The newest; the first, the serving and those in use beside.
  };

  // Makes the folders and, at first start, revision 0; removes directories that are not kept; loads
  // the serving revision. In a transaction of `log` (log thread). `model` and `clock` must outlive
  // the registry.
  static absl::StatusOr<std::unique_ptr<AdapterRegistry>> Open(const Options& options,
                                                               const Model* model,
                                                               const Clock* clock,
                                                               FeedbackLog& log);

  // ---- Serving loop ----
  // The revision a request runs at: its session's, or the serving one.
  std::shared_ptr<const ServedRevision> Pin(const std::string& session_id);
  // Rank, targets and layers, which all revisions of the adapter share.
  const LoraConfig& config() const { return config_; }
  const std::shared_ptr<const ServedRevision>& serving() const { return serving_; }
  void SetServing(std::shared_ptr<const ServedRevision> revision) {
    serving_ = std::move(revision);
  }
  // Sessions leave what was rolled back, too.
  void OnRollback(std::shared_ptr<const ServedRevision> revision);
  // Lets go of revisions that only ended sessions hold.
  void DropOldSessions();
  // Numbers of the revisions that sessions stay on.
  std::set<int64_t> SessionRevisions() const;

  // ---- Publisher ----
  // Checks a candidate (its name, digest, shapes, finiteness) without moving it.
  absl::StatusOr<std::shared_ptr<const LoraAdapter>> CheckCandidate(
      const PublishCandidate& candidate) const;
  // Moves a checked candidate to its place under `number`, which was minted for it.
  absl::Status PutInPlace(const PublishCandidate& candidate, int64_t number) const;
  // Commits the row of a candidate that is in its place; it serves from then on. Log thread.
  absl::Status Commit(const PublishCandidate& candidate, int64_t number, FeedbackLog& log) const;
  absl::StatusOr<std::shared_ptr<const ServedRevision>> Load(const RevisionId& id) const;
  // The revisions that are kept whoever uses them. Log thread.
  absl::StatusOr<std::set<int64_t>> Kept(FeedbackLog& log) const;
  // Removes the directories of all other numbers, with or without a row.
  absl::Status RemoveAllBut(const std::set<int64_t>& kept) const;

  // ---- Any thread ----
  // Whether the revision can still be rolled back to.
  bool HasDirectory(int64_t number) const;
  std::string revisions_dir() const { return options_.data_dir + "/revisions"; }
  std::string incoming_dir() const { return options_.data_dir + "/incoming"; }

 private:
  struct Session {
    std::shared_ptr<const ServedRevision> revision;
    int64_t begun_us = 0;
  };

  AdapterRegistry(const Options& options, const Model* model, const Clock* clock)
      : options_(options), model_(model), clock_(clock) {}
  absl::Status CreateFirstRevision(FeedbackLog& log) const;
  std::string AdapterDirectory() const;
  std::string DirectoryOf(int64_t number) const;

  const Options options_;
  const Model* const model_;
  const Clock* const clock_;
  LoraConfig config_;  // Constant after Open.
  std::shared_ptr<const ServedRevision> serving_;
  std::map<std::string, Session> sessions_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_ADAPTER_REGISTRY_H_
