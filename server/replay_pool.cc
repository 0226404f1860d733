#include "server/replay_pool.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace alchemist {

std::string PromptKey(const CompletionRow& completion) {
  // The lengths keep the parts apart.
  const std::string& adapter_id = completion.revision.adapter_id;
  Sha256 digest;
  digest.Add(absl::StrCat(adapter_id.size(), ":", adapter_id, completion.tenant.size(), ":",
                          completion.tenant));
  digest.Add({reinterpret_cast<const char*>(completion.prompt_tokens.data()),
              completion.prompt_tokens.size() * sizeof(int32_t)});
  return digest.HexDigest();
}

absl::StatusOr<int64_t> ReplayPool::Size(absl::string_view adapter_id, ReplaySource source) {
  // The slots have no gaps, so that the last one tells.
  ASSIGN_OR_RETURN(Query query, database_->Prepare("SELECT MAX(slot) + 1 FROM replay_candidates "
                                                   "WHERE adapter_id = ?1 AND source = ?2"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(adapter_id, static_cast<int32_t>(source)).Step());
  return row ? query.Int64(0) : 0;  // NULL, which an empty pool gives, reads as 0.
}

absl::StatusOr<ReplayCandidate> ReplayPool::At(absl::string_view adapter_id, ReplaySource source,
                                               int64_t slot) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT completion_id, feedback_id FROM replay_candidates "
                                      "WHERE adapter_id = ?1 AND source = ?2 AND slot = ?3"));
  ASSIGN_OR_RETURN(const bool row,
                   query.Bind(adapter_id, static_cast<int32_t>(source), slot).Step());
  if (!row) return absl::DataLossError(absl::StrCat("replay_candidates: no slot ", slot));
  return ReplayCandidate{query.Text(0), query.Text(1)};
}

absl::Status ReplayPool::AddAnswer(const CompletionRow& completion) {
  const std::string& adapter_id = completion.revision.adapter_id;
  ASSIGN_OR_RETURN(const int64_t slot, Size(adapter_id, ReplaySource::kAnswer));
  ASSIGN_OR_RETURN(Query query, database_->Prepare(R"sql(
      INSERT INTO replay_candidates (adapter_id, source, slot, completion_id, prompt_key)
      SELECT ?1, 0, ?2, ?3, ?4
      WHERE NOT EXISTS (SELECT 1 FROM feedback WHERE prompt_key = ?4 AND rating IN (-1, 0))
      AND (SELECT COUNT(*) FROM replay_candidates WHERE prompt_key = ?4) < ?5
      ON CONFLICT (completion_id, feedback_id) DO NOTHING)sql"));
  return query
      .Bind(adapter_id, slot, completion.completion_id, PromptKey(completion), kAnswersPerPromptMax)
      .Run();
}

absl::Status ReplayPool::AddSettled(absl::string_view adapter_id, int64_t revision,
                                    absl::string_view feedback_id) {
  // The walk goes no further than to the youngest that names it, which nearly always is the first.
  ASSIGN_OR_RETURN(const int64_t slot, Size(adapter_id, ReplaySource::kCorrection));
  ASSIGN_OR_RETURN(Query query, database_->Prepare(R"sql(
      INSERT INTO replay_candidates (adapter_id, source, slot, completion_id, feedback_id,
                                     prompt_key)
      WITH RECURSIVE ancestors (number) AS (
        SELECT ?2
        UNION
        SELECT parent FROM revisions JOIN ancestors USING (number) WHERE adapter_id = ?1)
      SELECT ?1, 1, ?4, completion_id, feedback_id, prompt_key FROM feedback f
      WHERE feedback_id = ?3 AND rating = 0 AND trainable = 1 AND EXISTS (
        SELECT 1 FROM ancestors CROSS JOIN revision_lineage l
        ON l.adapter_id = ?1 AND l.number = ancestors.number AND l.feedback_id = ?3)
      AND NOT EXISTS (
        SELECT 1 FROM feedback later
        WHERE later.prompt_key = f.prompt_key AND later.rating = 0 AND later.seq > f.seq
        AND ((later.trainable = 1 AND later.done < 2) OR EXISTS (
          SELECT 1 FROM ancestors CROSS JOIN revision_lineage l
          ON l.adapter_id = ?1 AND l.number = ancestors.number
          AND l.feedback_id = later.feedback_id)))
      ON CONFLICT (completion_id, feedback_id) DO NOTHING)sql"));
  return query.Bind(adapter_id, revision, feedback_id, slot).Run();
}

absl::Status ReplayPool::OnRollback(absl::string_view adapter_id, int64_t revision) {
  ASSIGN_OR_RETURN(Query remove, database_->Prepare("DELETE FROM replay_candidates "
                                                    "WHERE adapter_id = ?1 AND source = 1"));
  RETURN_IF_ERROR(remove.Bind(adapter_id).Run());
  ASSIGN_OR_RETURN(Query add, database_->Prepare(R"sql(
      INSERT INTO replay_candidates (adapter_id, source, slot, completion_id, feedback_id,
                                     prompt_key)
      WITH RECURSIVE ancestors (number) AS (
        SELECT ?2
        UNION
        SELECT parent FROM revisions JOIN ancestors USING (number) WHERE adapter_id = ?1),
      held (feedback_id) AS MATERIALIZED (
        SELECT l.feedback_id FROM ancestors JOIN revision_lineage l USING (number)
        WHERE l.adapter_id = ?1)
      SELECT ?1, 1, ROW_NUMBER() OVER (ORDER BY seq) - 1, completion_id, feedback_id, prompt_key
      FROM feedback f
      WHERE rating = 0 AND trainable = 1 AND done = 3 AND feedback_id IN held
      AND NOT EXISTS (
        SELECT 1 FROM feedback later
        WHERE later.prompt_key = f.prompt_key AND later.rating = 0 AND later.seq > f.seq
        AND ((later.trainable = 1 AND later.done < 2) OR later.feedback_id IN held)))sql"));
  return add.Bind(adapter_id, revision).Run();
}

absl::Status ReplayPool::OnDispute(absl::string_view prompt_key, bool is_correction) {
  RETURN_IF_ERROR(RemoveAll(prompt_key, ReplaySource::kAnswer));
  return is_correction ? RemoveAll(prompt_key, ReplaySource::kCorrection) : absl::OkStatus();
}

absl::Status ReplayPool::RemoveAll(absl::string_view prompt_key, ReplaySource source) {
  for (;;) {
    ASSIGN_OR_RETURN(Query query,
                     database_->Prepare("SELECT adapter_id, slot FROM replay_candidates "
                                        "WHERE prompt_key = ?1 AND source = ?2 LIMIT 1"));
    ASSIGN_OR_RETURN(const bool row, query.Bind(prompt_key, static_cast<int32_t>(source)).Step());
    if (!row) return absl::OkStatus();
    const std::string adapter_id = query.Text(0);
    const int64_t slot = query.Int64(1);
    RETURN_IF_ERROR(query.Run());  // To its end: the row is deleted next.
    RETURN_IF_ERROR(Remove(adapter_id, source, slot));
  }
}

absl::Status ReplayPool::Remove(absl::string_view adapter_id, ReplaySource source, int64_t slot) {
  ASSIGN_OR_RETURN(Query remove,
                   database_->Prepare("DELETE FROM replay_candidates WHERE adapter_id = ?1 AND "
                                      "source = ?2 AND slot = ?3"));
  RETURN_IF_ERROR(remove.Bind(adapter_id, static_cast<int32_t>(source), slot).Run());
  // The last one moves into the gap. When the last one itself was removed there is none.
  ASSIGN_OR_RETURN(const int64_t size, Size(adapter_id, source));
  if (size <= slot) return absl::OkStatus();
  ASSIGN_OR_RETURN(Query move, database_->Prepare("UPDATE replay_candidates SET slot = ?3 WHERE "
                                                  "adapter_id = ?1 AND source = ?2 AND slot = ?4"));
  return move.Bind(adapter_id, static_cast<int32_t>(source), slot, size - 1).Run();
}

absl::StatusOr<std::vector<ReplayCandidate>> ReplayPool::Draw(absl::string_view adapter_id,
                                                              ReplaySource source, int64_t count) {
  ASSIGN_OR_RETURN(const int64_t size, Size(adapter_id, source));
  std::vector<ReplayCandidate> drawn;
  // A Fisher-Yates shuffle of the slots, stopped early, that keeps only the slots it has moved.
  absl::flat_hash_map<int64_t, int64_t> moved;
  const auto slot_at = [&](int64_t place) {
    const auto it = moved.find(place);
    return it == moved.end() ? place : it->second;
  };
  for (int64_t place = 0; place < size && place < count; ++place) {
    const int64_t other = place + random_.Below(size - place);
    const int64_t slot = slot_at(other);
    moved[other] = slot_at(place);
    ASSIGN_OR_RETURN(drawn.emplace_back(), At(adapter_id, source, slot));
  }
  return drawn;
}

}  // namespace alchemist
