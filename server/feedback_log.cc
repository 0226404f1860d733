#include "server/feedback_log.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "server/log_schema.h"

namespace alchemist {
namespace {

absl::Status EnsureDirectory(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus("mkdir", directory);
  }
  return SyncDirectory(absl::StrCat(directory, "/.."));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FeedbackLog>> FeedbackLog::Open(const std::string& directory,
                                                               const Options& options) {
  RETURN_IF_ERROR(EnsureDirectory(directory));
  const std::string path = absl::StrCat(directory, "/feedback.db");
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteDatabase> database,
                   SqliteDatabase::Open(path, options.vfs));
  const absl::Status schema = EnsureLogSchema(database.get());
  if (!schema.ok()) {
    return absl::Status(schema.code(), absl::StrCat(path, ": ", schema.message()));
  }
  RETURN_IF_ERROR(SyncDirectory(directory));
  return std::unique_ptr<FeedbackLog>(new FeedbackLog(std::move(database), options.replay_seed));
}

FeedbackLog::FeedbackLog(std::unique_ptr<SqliteDatabase> database, uint64_t replay_seed)
    : database_(std::move(database)),
      replay_(database_.get(), replay_seed),
      completions_(database_.get(), &replay_),
      feedback_(database_.get(), &completions_, &replay_),
      revisions_(database_.get()),
      steps_(database_.get()) {}

absl::Status FeedbackLog::Close() { return database_->Checkpoint(SqliteDatabase::Wal::kEmptied); }

absl::Status FeedbackLog::Begin() { return database_->Execute("BEGIN"); }

absl::Status FeedbackLog::RunNested(absl::FunctionRef<absl::Status(FeedbackLog&)> work) {
  RETURN_IF_ERROR(database_->Execute("SAVEPOINT nested"));
  const absl::Status status = work(*this);
  if (status.ok()) return database_->Execute("RELEASE nested");
  if (in_transaction() && !database_->Execute("ROLLBACK TO nested; RELEASE nested").ok()) {
    Rollback();
  }
  return status;
}

absl::Status FeedbackLog::Commit() {
  const absl::Status status = database_->Execute("COMMIT");
  if (!status.ok()) Rollback();
  return status;
}

void FeedbackLog::Rollback() {
  // Touches no file. When even this fails the transaction stays open, and Begin and Commit say so.
  if (in_transaction()) database_->Execute("ROLLBACK").IgnoreError();
}

absl::Status FeedbackLog::CheckpointWhenDue() {
  if (database_->wal_pages() < kCheckpointPages) return absl::OkStatus();
  return database_->Checkpoint(SqliteDatabase::Wal::kReused);
}

absl::Status FeedbackLog::BindBase(const BaseId& base) {
  RETURN_IF_ERROR(BindText("base_digest", base.base_digest));
  return BindText("tokenizer_digest", base.tokenizer_digest);
}

absl::Status FeedbackLog::BindText(absl::string_view key, absl::string_view value) {
  ASSIGN_OR_RETURN(Query insert,
                   database_->Prepare("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)"));
  RETURN_IF_ERROR(insert.Bind(key, value).Run());
  ASSIGN_OR_RETURN(Query select, database_->Prepare("SELECT value FROM meta WHERE key = ?1"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(key).Step());
  if (row && select.Text(0) == value) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the feedback log is of another model: ", key,
                                                    " ", select.Text(0), ", not ", value));
}

absl::StatusOr<int64_t> FeedbackLog::BumpStoreEpoch() {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("INSERT INTO meta (key, value) VALUES ('store_epoch', 1) "
                                      "ON CONFLICT DO UPDATE SET value = value + 1 "
                                      "RETURNING value"));
  RETURN_IF_ERROR(query.Step().status());
  const int64_t epoch = query.Int64(0);
  RETURN_IF_ERROR(query.Run());
  return epoch;
}

}  // namespace alchemist
