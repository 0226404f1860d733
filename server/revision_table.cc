#include "server/revision_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

absl::StatusOr<std::vector<FeedbackPasses>> ReadPasses(Query query) {
  std::vector<FeedbackPasses> passes;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return passes;
    passes.push_back({query.Text(0), query.Int64(1)});
  }
}

absl::Status NoAdapter(absl::string_view adapter_id) {
  return absl::NotFoundError(absl::StrCat("no adapter ", adapter_id));
}

}  // namespace

absl::Status RevisionTable::CreateAdapter(absl::string_view adapter_id, absl::string_view digest,
                                          int64_t unix_us) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("INSERT INTO adapters (adapter_id, next_number, serving) "
                                      "VALUES (?1, 1, 0)"));
  RETURN_IF_ERROR(query.Bind(adapter_id).Run());
  RevisionRow first;
  first.revision = {std::string(adapter_id), 0, std::string(digest)};
  first.published_unix_us = unix_us;
  return InsertRow(first);
}

absl::StatusOr<AdapterRow> RevisionTable::FindAdapter(absl::string_view adapter_id) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT adapter_id, next_number, serving, digest, pinned "
                                      "FROM adapters JOIN revisions USING (adapter_id) "
                                      "WHERE adapter_id = ?1 AND number = serving"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(adapter_id).Step());
  if (!row) return NoAdapter(adapter_id);
  AdapterRow adapter;
  adapter.adapter_id = query.Text(0);
  adapter.next_number = query.Int64(1);
  adapter.serving = {query.Text(0), query.Int64(2), query.Text(3)};
  adapter.pinned = query.Int64(4) != 0;
  return adapter;
}

absl::StatusOr<int64_t> RevisionTable::Mint(absl::string_view adapter_id) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("UPDATE adapters SET next_number = next_number + 1 "
                                      "WHERE adapter_id = ?1 RETURNING next_number - 1"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(adapter_id).Step());
  if (!row) return NoAdapter(adapter_id);
  const int64_t number = query.Int64(0);
  RETURN_IF_ERROR(query.Run());
  return number;
}

absl::Status RevisionTable::Commit(const RevisionRow& revision) {
  const RevisionId& id = revision.revision;
  ASSIGN_OR_RETURN(const AdapterRow adapter, FindAdapter(id.adapter_id));
  if (id.number < 1 || id.number >= adapter.next_number) {
    return absl::InvalidArgumentError(absl::StrCat("revision ", id.number, " of ", id.adapter_id,
                                                   " was not minted; the next is ",
                                                   adapter.next_number));
  }
  const absl::Status parent = Find(id.adapter_id, revision.parent).status();
  if (absl::IsNotFound(parent)) {
    return absl::InvalidArgumentError(absl::StrCat("parent: ", parent.message()));
  }
  RETURN_IF_ERROR(parent);
  RETURN_IF_ERROR(InsertRow(revision));
  for (const FeedbackPasses& passes : revision.lineage) RETURN_IF_ERROR(InsertLineage(id, passes));
  return absl::OkStatus();
}

absl::Status RevisionTable::InsertRow(const RevisionRow& revision) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("INSERT INTO revisions (adapter_id, number, digest, parent, "
                                      "step, published_unix_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  return query
      .Bind(revision.revision.adapter_id, revision.revision.number, revision.revision.digest,
            revision.parent, revision.step, revision.published_unix_us)
      .Run();
}

absl::Status RevisionTable::InsertLineage(const RevisionId& revision,
                                          const FeedbackPasses& passes) {
  ASSIGN_OR_RETURN(Query update,
                   database_->Prepare("UPDATE feedback SET first_revision = "
                                      "COALESCE(first_revision, ?2) WHERE feedback_id = ?1"));
  RETURN_IF_ERROR(update.Bind(passes.feedback_id, revision.number).Run());
  if (database_->rows_changed() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("lineage: feedback ", passes.feedback_id, " is not in this log"));
  }
  ASSIGN_OR_RETURN(Query insert,
                   database_->Prepare("INSERT INTO revision_lineage (adapter_id, number, "
                                      "feedback_id, passes) VALUES (?1, ?2, ?3, ?4)"));
  return insert.Bind(revision.adapter_id, revision.number, passes.feedback_id, passes.passes).Run();
}

absl::StatusOr<RevisionId> RevisionTable::Find(absl::string_view adapter_id, int64_t number) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT adapter_id, number, digest FROM revisions "
                                      "WHERE adapter_id = ?1 AND number = ?2"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(adapter_id, number).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("no revision ", number, " of ", adapter_id));
  return RevisionId{query.Text(0), query.Int64(1), query.Text(2)};
}

absl::StatusOr<std::vector<RevisionRow>> RevisionTable::List(absl::string_view adapter_id,
                                                             int64_t first_number, int64_t limit,
                                                             int64_t lineage_max) {
  CHECK(limit > 0 && limit <= kPageMax) << limit;
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("SELECT adapter_id, number, digest, parent, step, published_unix_us "
                         "FROM revisions WHERE adapter_id = ?1 AND number >= ?2 "
                         "ORDER BY number LIMIT ?3"));
  query.Bind(adapter_id, first_number, limit);
  std::vector<RevisionRow> rows;
  int64_t lineage = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, query.Step());
    if (!more) return rows;
    RevisionRow row;
    row.revision = {query.Text(0), query.Int64(1), query.Text(2)};
    row.parent = query.Int64(3);
    row.step = query.Int64(4);
    row.published_unix_us = query.Int64(5);
    RETURN_IF_ERROR(ReadLineage(lineage_max, row));
    lineage += static_cast<int64_t>(row.lineage.size());
    rows.push_back(std::move(row));
    if (lineage >= lineage_max) return rows;
  }
}

absl::StatusOr<bool> RevisionTable::HasLater(absl::string_view adapter_id, int64_t number,
                                             absl::string_view digest) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT 1 FROM revisions WHERE adapter_id = ?1 AND "
                                      "number > ?2 AND digest = ?3 LIMIT 1"));
  return query.Bind(adapter_id, number, digest).Step();
}

absl::StatusOr<std::vector<int64_t>> RevisionTable::Newest(absl::string_view adapter_id,
                                                           int64_t count) {
  ASSIGN_OR_RETURN(Query query, database_->Prepare("SELECT number FROM revisions "
                                                   "WHERE adapter_id = ?1 "
                                                   "ORDER BY number DESC LIMIT ?2"));
  query.Bind(adapter_id, count);
  std::vector<int64_t> numbers;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, query.Step());
    if (!more) return numbers;
    numbers.push_back(query.Int64(0));
  }
}

absl::Status RevisionTable::ReadLineage(int64_t lineage_max, RevisionRow& row) {
  const RevisionId& id = row.revision;
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT feedback_id, passes FROM revision_lineage "
                                      "WHERE adapter_id = ?1 AND number = ?2 "
                                      "ORDER BY feedback_id LIMIT ?3"));
  query.Bind(id.adapter_id, id.number, lineage_max);
  ASSIGN_OR_RETURN(row.lineage, ReadPasses(std::move(query)));
  ASSIGN_OR_RETURN(Query count, database_->Prepare("SELECT COUNT(*) FROM revision_lineage "
                                                   "WHERE adapter_id = ?1 AND number = ?2"));
  RETURN_IF_ERROR(count.Bind(id.adapter_id, id.number).Step().status());
  row.feedback_count = count.Int64(0);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FeedbackPasses>> RevisionTable::PassesInLineage(
    absl::string_view adapter_id, int64_t number) {
  RETURN_IF_ERROR(Find(adapter_id, number).status());
  // UNION drops repeated numbers, so that the walk ends at revision 0, its own parent.
  ASSIGN_OR_RETURN(Query query, database_->Prepare(R"sql(
      WITH RECURSIVE ancestors (number) AS (
        SELECT ?2
        UNION
        SELECT parent FROM revisions JOIN ancestors USING (number) WHERE adapter_id = ?1)
      SELECT l.feedback_id, SUM(l.passes) FROM ancestors
      JOIN revision_lineage l USING (number)
      JOIN feedback f ON f.feedback_id = l.feedback_id AND f.done <> 3
      WHERE l.adapter_id = ?1
      GROUP BY l.feedback_id ORDER BY l.feedback_id)sql"));
  query.Bind(adapter_id, number);
  return ReadPasses(std::move(query));
}

absl::Status RevisionTable::SetServing(absl::string_view adapter_id, int64_t number) {
  RETURN_IF_ERROR(Find(adapter_id, number).status());
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("UPDATE adapters SET serving = ?2 WHERE adapter_id = ?1"));
  return query.Bind(adapter_id, number).Run();
}

absl::Status RevisionTable::SetPinned(absl::string_view adapter_id, bool pinned) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("UPDATE adapters SET pinned = ?2 WHERE adapter_id = ?1"));
  RETURN_IF_ERROR(query.Bind(adapter_id, pinned).Run());
  return database_->rows_changed() == 0 ? NoAdapter(adapter_id) : absl::OkStatus();
}

}  // namespace alchemist
