// StepTable: what each checkpoint of the trainer reported. The checkpoint itself is the truth;
// these rows are rebuilt from link messages. Owned by FeedbackLog; its thread only, inside a
// transaction.
#ifndef ALCHEMIST_SERVER_STEP_TABLE_H_
#define ALCHEMIST_SERVER_STEP_TABLE_H_

#include <cstdint>

#include "base/status.h"
#include "server/log_rows.h"
#include "server/sqlite_database.h"

namespace alchemist {

class StepTable {
 public:
  explicit StepTable(SqliteDatabase* database) : database_(database) {}  // Must outlive it.

  // Adds the row of its step; a second one of a step adds its tokens to those of the first.
  // INVALID_ARGUMENT when loss or norm is not finite.
  absl::Status Record(const StepRow& row);
  // Forgets the steps after `step`: the trainer came back with the checkpoint made there.
  absl::Status RestartFrom(int64_t step);
  absl::StatusOr<StepTotals> Totals();

 private:
  SqliteDatabase* const database_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_STEP_TABLE_H_
