#include "server/replay_pool.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace alchemist {

absl::StatusOr<int64_t> ReplayPool::Size(absl::string_view adapter_id) {
  // The slots have no gaps, so that the last one tells.
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("SELECT MAX(slot) + 1 FROM replay_candidates WHERE adapter_id = ?1"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(adapter_id).Step());
  return row ? query.Int64(0) : 0;  // NULL, which an empty pool gives, reads as 0.
}

absl::StatusOr<std::string> ReplayPool::At(absl::string_view adapter_id, int64_t slot) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT completion_id FROM replay_candidates "
                                      "JOIN completions ON seq = completion "
                                      "WHERE replay_candidates.adapter_id = ?1 AND slot = ?2"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(adapter_id, slot).Step());
  if (!row) return absl::DataLossError(absl::StrCat("replay_candidates: no slot ", slot));
  return query.Text(0);
}

absl::Status ReplayPool::Add(absl::string_view adapter_id, absl::string_view completion_id) {
  ASSIGN_OR_RETURN(const int64_t slot, Size(adapter_id));
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("INSERT INTO replay_candidates (adapter_id, slot, completion) "
                         "SELECT ?1, ?2, seq FROM completions WHERE completion_id = ?3"));
  return query.Bind(adapter_id, slot, completion_id).Run();
}

absl::Status ReplayPool::Remove(absl::string_view completion_id) {
  ASSIGN_OR_RETURN(Query remove,
                   database_->Prepare("DELETE FROM replay_candidates WHERE completion = "
                                      "(SELECT seq FROM completions WHERE completion_id = ?1) "
                                      "RETURNING adapter_id, slot"));
  ASSIGN_OR_RETURN(const bool removed, remove.Bind(completion_id).Step());
  if (!removed) return absl::OkStatus();
  const std::string adapter_id = remove.Text(0);
  const int64_t slot = remove.Int64(1);
  RETURN_IF_ERROR(remove.Run());
  // The last one moves into the gap. When the last one itself was removed there is none.
  ASSIGN_OR_RETURN(const int64_t size, Size(adapter_id));
  if (size <= slot) return absl::OkStatus();
  ASSIGN_OR_RETURN(Query move, database_->Prepare("UPDATE replay_candidates SET slot = ?2 "
                                                  "WHERE adapter_id = ?1 AND slot = ?3"));
  return move.Bind(adapter_id, slot, size - 1).Run();
}

absl::StatusOr<std::vector<std::string>> ReplayPool::Draw(
    absl::string_view adapter_id, int64_t count, const absl::flat_hash_set<std::string>& exclude) {
  ASSIGN_OR_RETURN(const int64_t size, Size(adapter_id));
  std::vector<std::string> drawn;
  // A Fisher-Yates shuffle of the slots, stopped early, that keeps only the slots it has moved.
  absl::flat_hash_map<int64_t, int64_t> moved;
  const auto slot_at = [&](int64_t place) {
    const auto it = moved.find(place);
    return it == moved.end() ? place : it->second;
  };
  for (int64_t place = 0; place < size && static_cast<int64_t>(drawn.size()) < count; ++place) {
    const int64_t other = place + random_.Below(size - place);
    const int64_t slot = slot_at(other);
    moved[other] = slot_at(place);
    ASSIGN_OR_RETURN(std::string completion_id, At(adapter_id, slot));
    if (!exclude.contains(completion_id)) drawn.push_back(std::move(completion_id));
  }
  return drawn;
}

}  // namespace alchemist
