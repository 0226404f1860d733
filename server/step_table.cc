#include "server/step_table.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace alchemist {

absl::Status StepTable::Record(const StepRow& row) {
  // SQLite has no NaN: it would be stored as NULL.
  if (!std::isfinite(row.loss) || !std::isfinite(row.update_norm)) {
    return absl::InvalidArgumentError(absl::StrCat("step ", row.step, ": loss ", row.loss,
                                                   ", update norm ", row.update_norm,
                                                   "; both must be finite"));
  }
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("INSERT OR REPLACE INTO steps (step, loss, update_norm, "
                         "first_pass_prompt_reused, first_pass_prompt_recomputed, "
                         "first_pass_beyond_drift, later_pass_reused, later_pass_recomputed, "
                         "replay_reused, replay_recomputed, response_run, recorded_unix_us) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"));
  const StepTokens& tokens = row.tokens;
  return query
      .Bind(row.step, row.loss, row.update_norm, tokens.first_pass_prompt_reused,
            tokens.first_pass_prompt_recomputed, tokens.first_pass_beyond_drift,
            tokens.later_pass_reused, tokens.later_pass_recomputed, tokens.replay_reused,
            tokens.replay_recomputed, tokens.response_run, row.recorded_unix_us)
      .Run();
}

absl::Status StepTable::RestartFrom(int64_t step) {
  ASSIGN_OR_RETURN(Query query, database_->Prepare("DELETE FROM steps WHERE step > ?1"));
  return query.Bind(step).Run();
}

absl::StatusOr<std::optional<StepRow>> StepTable::Last() {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT step, loss, update_norm, first_pass_prompt_reused, "
                                      "first_pass_prompt_recomputed, first_pass_beyond_drift, "
                                      "later_pass_reused, later_pass_recomputed, replay_reused, "
                                      "replay_recomputed, response_run, recorded_unix_us "
                                      "FROM steps ORDER BY step DESC LIMIT 1"));
  ASSIGN_OR_RETURN(const bool found, query.Step());
  if (!found) return std::optional<StepRow>();
  StepRow row;
  row.step = query.Int64(0);
  row.loss = query.Double(1);
  row.update_norm = query.Double(2);
  row.tokens = {query.Int64(3), query.Int64(4), query.Int64(5), query.Int64(6),
                query.Int64(7), query.Int64(8), query.Int64(9), query.Int64(10)};
  row.recorded_unix_us = query.Int64(11);
  return std::optional<StepRow>(row);
}

}  // namespace alchemist
