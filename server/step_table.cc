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
  ASSIGN_OR_RETURN(Query query, database_->Prepare(R"sql(
      INSERT INTO steps (step, loss, update_norm, first_pass_prompt_reused,
        first_pass_prompt_recomputed, first_pass_beyond_drift, later_pass_reused,
        later_pass_recomputed, replay_reused, replay_recomputed, response_run,
        response_reused, recorded_unix_us)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
      ON CONFLICT DO UPDATE SET loss = ?2, update_norm = ?3,
        first_pass_prompt_reused = first_pass_prompt_reused + ?4,
        first_pass_prompt_recomputed = first_pass_prompt_recomputed + ?5,
        first_pass_beyond_drift = first_pass_beyond_drift + ?6,
        later_pass_reused = later_pass_reused + ?7,
        later_pass_recomputed = later_pass_recomputed + ?8,
        replay_reused = replay_reused + ?9,
        replay_recomputed = replay_recomputed + ?10,
        response_run = response_run + ?11, response_reused = response_reused + ?12,
        recorded_unix_us = ?13)sql"));
  const StepTokens& tokens = row.tokens;
  return query
      .Bind(row.step, row.loss, row.update_norm, tokens.first_pass_prompt_reused,
            tokens.first_pass_prompt_recomputed, tokens.first_pass_beyond_drift,
            tokens.later_pass_reused, tokens.later_pass_recomputed, tokens.replay_reused,
            tokens.replay_recomputed, tokens.response_run, tokens.response_reused,
            row.recorded_unix_us)
      .Run();
}

absl::Status StepTable::RestartFrom(int64_t step) {
  ASSIGN_OR_RETURN(Query query, database_->Prepare("DELETE FROM steps WHERE step > ?1"));
  return query.Bind(step).Run();
}

absl::StatusOr<StepTotals> StepTable::Totals() {
  // Of no rows all are NULL, which reads as 0.
  ASSIGN_OR_RETURN(Query query, database_->Prepare(R"sql(
      SELECT MAX(step), SUM(first_pass_prompt_reused), SUM(first_pass_prompt_recomputed),
        SUM(first_pass_beyond_drift), SUM(later_pass_reused), SUM(later_pass_recomputed),
        SUM(replay_reused), SUM(replay_recomputed), SUM(response_run),
        SUM(response_reused) FROM steps)sql"));
  RETURN_IF_ERROR(query.Step().status());
  StepTotals totals;
  totals.steps = query.Int64(0);
  totals.tokens = {query.Int64(1), query.Int64(2), query.Int64(3), query.Int64(4), query.Int64(5),
                   query.Int64(6), query.Int64(7), query.Int64(8), query.Int64(9)};
  return totals;
}

}  // namespace alchemist
