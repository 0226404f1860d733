// FeedbackLog: what must survive a crash of the server: completions, feedback, revisions, steps
// (DESIGN.md section 10), in one SQLite file. Owned by LogLoop, whose thread makes all calls.
//
// Everything happens in a transaction: Begin, then any number of RunNested, then Commit. Nothing
// may be acknowledged before Commit has returned OK. Errors: RESOURCE_EXHAUSTED when the disk is
// full (the log works again once there is room), UNAVAILABLE for other faults of the disk,
// DATA_LOSS for a damaged file. After a failed fsync every call answers UNAVAILABLE until the next
// start.
#ifndef ALCHEMIST_SERVER_FEEDBACK_LOG_H_
#define ALCHEMIST_SERVER_FEEDBACK_LOG_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "server/completion_table.h"
#include "server/feedback_table.h"
#include "server/log_rows.h"
#include "server/replay_pool.h"
#include "server/revision_table.h"
#include "server/sqlite_database.h"
#include "server/step_table.h"

namespace alchemist {

class FeedbackLog {
 public:
  struct Options {
    uint64_t replay_seed = 1;  // Of the replay draws.
    std::string vfs;           // SQLite's file layer; "" is the system's files.
  };

  // Opens `directory`/feedback.db, and creates both when they are not there. FAILED_PRECONDITION
  // for a log of a newer server; UNAVAILABLE while another process has it open.
  static absl::StatusOr<std::unique_ptr<FeedbackLog>> Open(const std::string& directory,
                                                           const Options& options);
  // Empties the write-ahead log into the file. Only the destructor may follow. Without it nothing
  // is lost: the next Open does the same.
  absl::Status Close();

  absl::Status Begin();
  // Runs `work` as a part of the open transaction that is undone alone when `work` fails; its
  // status is returned. After some errors SQLite gives the whole transaction up: see
  // in_transaction().
  absl::Status RunNested(absl::FunctionRef<absl::Status(FeedbackLog&)> work);
  absl::Status Commit();  // When it fails, the transaction is undone.
  void Rollback();        // No change when there is no transaction.
  bool in_transaction() const { return database_->in_transaction(); }
  bool has_writes() const { return database_->has_writes(); }

  // Moves the write-ahead log into the file once it has kCheckpointPages pages, so that neither it
  // nor the next start grows without limit. REQUIRES: no transaction. An error loses nothing.
  static constexpr int64_t kCheckpointPages = 1000;  // 4 MiB.
  absl::Status CheckpointWhenDue();

  // Says which model the log is about. The first call writes it down; FAILED_PRECONDITION when a
  // later one differs: its tokens would mean nothing to another model.
  absl::Status BindBase(const BaseId& base);
  // The number of this start of the server, one more than that of the last.
  absl::StatusOr<int64_t> BumpStoreEpoch();

  CompletionTable& completions() { return completions_; }
  FeedbackTable& feedback() { return feedback_; }
  RevisionTable& revisions() { return revisions_; }
  StepTable& steps() { return steps_; }
  ReplayPool& replay() { return replay_; }

 private:
  FeedbackLog(std::unique_ptr<SqliteDatabase> database, uint64_t replay_seed);
  absl::Status BindText(absl::string_view key, absl::string_view value);

  const std::unique_ptr<SqliteDatabase> database_;
  ReplayPool replay_;
  CompletionTable completions_;
  FeedbackTable feedback_;
  RevisionTable revisions_;
  StepTable steps_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_FEEDBACK_LOG_H_
