// CompletionTable: the answers that were served, one row per choice. Owned by FeedbackLog; its
// thread only, inside a transaction.
#ifndef ALCHEMIST_SERVER_COMPLETION_TABLE_H_
#define ALCHEMIST_SERVER_COMPLETION_TABLE_H_

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "server/log_rows.h"
#include "server/replay_pool.h"
#include "server/sqlite_database.h"

namespace alchemist {

class CompletionTable {
 public:
  // `database` and `replay` must outlive the table.
  CompletionTable(SqliteDatabase* database, ReplayPool* replay)
      : database_(database), replay_(replay) {}

  // Adds a row, and offers it for replay when the answer came to its own end. INVALID_ARGUMENT when
  // tokens and log-probs do not pair up; ALREADY_EXISTS when the id is taken.
  absl::Status Add(const CompletionRow& completion);

  absl::StatusOr<CompletionRow> Find(absl::string_view completion_id);  // Or NOT_FOUND.

 private:
  SqliteDatabase* const database_;
  ReplayPool* const replay_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMPLETION_TABLE_H_
