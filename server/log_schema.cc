#include "server/log_schema.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr int64_t kVersion = 4;  // As in the last line of kTables.

// Digests are lower-case hex. Tokens are int32, log-probs float32, both little-endian.
constexpr char kTables[] = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE adapters (
  adapter_id TEXT PRIMARY KEY,
  next_number INTEGER NOT NULL,  -- Grows when a number is minted, whether it is committed or not.
  serving INTEGER NOT NULL,
  pinned INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
  adapter_id TEXT NOT NULL REFERENCES adapters,
  number INTEGER NOT NULL CHECK (number >= 0),
  digest TEXT NOT NULL,
  parent INTEGER NOT NULL,
  step INTEGER NOT NULL,
  published_unix_us INTEGER NOT NULL,
  PRIMARY KEY (adapter_id, number),
  FOREIGN KEY (adapter_id, parent) REFERENCES revisions
) STRICT, WITHOUT ROWID;

-- No key to revisions: an answer outlives the row's writer, and may come before it.
CREATE TABLE completions (
  seq INTEGER PRIMARY KEY,
  completion_id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  base_digest TEXT NOT NULL,
  tokenizer_digest TEXT NOT NULL,
  adapter_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  revision_digest TEXT NOT NULL,
  prompt_tokens BLOB NOT NULL,
  response_tokens BLOB NOT NULL,
  log_probs BLOB NOT NULL,
  finish_reason INTEGER NOT NULL CHECK (finish_reason BETWEEN 1 AND 4),
  created_unix_us INTEGER NOT NULL
) STRICT;

-- What replay may draw: answers (source 0) and settled corrections that what serves holds passes of
-- (1), numbered 0, 1, 2, ... per adapter and source without gaps: a uniform number is a uniform
-- candidate, however long the log is. No feedback_id: the answer itself.
CREATE TABLE replay_candidates (
  adapter_id TEXT NOT NULL,
  source INTEGER NOT NULL CHECK (source BETWEEN 0 AND 1),
  slot INTEGER NOT NULL,
  completion_id TEXT NOT NULL REFERENCES completions (completion_id),
  feedback_id TEXT NOT NULL DEFAULT '',
  prompt_key TEXT NOT NULL,  -- PromptKey of replay_pool.h.
  PRIMARY KEY (adapter_id, source, slot),
  UNIQUE (completion_id, feedback_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_candidates_by_prompt ON replay_candidates (prompt_key);

CREATE TABLE feedback (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  feedback_id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  payload_digest TEXT NOT NULL,
  completion_id TEXT NOT NULL REFERENCES completions (completion_id),
  rating INTEGER NOT NULL CHECK (rating BETWEEN -1 AND 1),  -- 0 is a correction.
  correction_text TEXT NOT NULL,
  correction_tokens BLOB NOT NULL,
  disposition INTEGER NOT NULL CHECK (disposition IN (1, 2, 3, 5, 6)),
  reason TEXT NOT NULL,
  submitted_unix_us INTEGER NOT NULL,
  trainable INTEGER NOT NULL,
  superseded_by TEXT NOT NULL DEFAULT '',
  passes INTEGER NOT NULL DEFAULT 0 CHECK (passes >= 0),
  done INTEGER NOT NULL DEFAULT 0,  -- TrainingEnd of log_rows.h.
  record_reused INTEGER NOT NULL DEFAULT 0,
  first_revision INTEGER,
  prompt_key TEXT NOT NULL,  -- Of its completion.
  UNIQUE (tenant, idempotency_key)
) STRICT;
CREATE INDEX feedback_by_completion ON feedback (completion_id);
CREATE INDEX feedback_by_prompt ON feedback (prompt_key, rating, seq);
CREATE INDEX feedback_unfinished ON feedback (seq) WHERE trainable = 1 AND done = 0;

-- Feedback with the digest of the revision it first took part in.
CREATE VIEW feedback_rows AS
SELECT f.seq, f.feedback_id, f.tenant, f.idempotency_key, f.completion_id, f.rating,
       f.correction_text, f.correction_tokens, f.disposition, f.reason, f.submitted_unix_us,
       f.trainable, f.superseded_by, f.passes, f.done, f.record_reused,
       r.adapter_id, r.number, r.digest, f.payload_digest
FROM feedback f
JOIN completions c ON c.completion_id = f.completion_id
LEFT JOIN revisions r ON r.adapter_id = c.adapter_id AND r.number = f.first_revision;

CREATE TABLE revision_lineage (
  adapter_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  feedback_id TEXT NOT NULL REFERENCES feedback (feedback_id),
  passes INTEGER NOT NULL CHECK (passes > 0),
  PRIMARY KEY (adapter_id, number, feedback_id),
  FOREIGN KEY (adapter_id, number) REFERENCES revisions
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
  step INTEGER PRIMARY KEY,
  loss REAL NOT NULL,
  update_norm REAL NOT NULL,
  first_pass_prompt_reused INTEGER NOT NULL,
  first_pass_prompt_recomputed INTEGER NOT NULL,
  first_pass_beyond_drift INTEGER NOT NULL,
  later_pass_reused INTEGER NOT NULL,
  later_pass_recomputed INTEGER NOT NULL,
  replay_reused INTEGER NOT NULL,
  replay_recomputed INTEGER NOT NULL,
  response_run INTEGER NOT NULL,
  response_reused INTEGER NOT NULL DEFAULT 0,
  recorded_unix_us INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 4;
)sql";

constexpr int64_t kOldestVersion = 3;  // That can be brought up to kVersion.

constexpr char kFrom3To4[] = R"sql(
ALTER TABLE steps ADD COLUMN response_reused INTEGER NOT NULL DEFAULT 0;
DROP INDEX IF EXISTS feedback_disputing;  -- Of the first servers of version 3.
CREATE INDEX IF NOT EXISTS feedback_by_prompt ON feedback (prompt_key, rating, seq);
PRAGMA user_version = 4;
)sql";

absl::StatusOr<int64_t> QueryInt64(SqliteDatabase* database, const char* sql) {
  ASSIGN_OR_RETURN(Query query, database->Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? query.Int64(0) : 0;
}

absl::Status CreateOrCheck(SqliteDatabase* database) {
  ASSIGN_OR_RETURN(const int64_t version, QueryInt64(database, "PRAGMA user_version"));
  if (version == kVersion) return absl::OkStatus();
  if (version > kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the feedback log has version ", version,
                                                      "; this server knows up to ", kVersion));
  }
  if (version == kOldestVersion) return database->Execute(kFrom3To4);
  if (version > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the feedback log has version ", version, ", of a server from before version ",
                     kOldestVersion, ": start with another --data_dir"));
  }
  ASSIGN_OR_RETURN(const int64_t tables,
                   QueryInt64(database, "SELECT COUNT(*) FROM sqlite_schema"));
  if (tables != 0) {
    return absl::FailedPreconditionError("the file is no feedback log");
  }
  return database->Execute(kTables);
}

}  // namespace

absl::Status EnsureLogSchema(SqliteDatabase* database) {
  RETURN_IF_ERROR(database->Execute("BEGIN"));
  absl::Status status = CreateOrCheck(database);
  if (status.ok()) status = database->Execute("COMMIT");
  // The library ends the transaction by itself after some errors. The first error is what counts.
  if (database->in_transaction() && !database->stopped()) {
    database->Execute("ROLLBACK").IgnoreError();
  }
  return status;
}

}  // namespace alchemist
