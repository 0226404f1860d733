// RevisionTable: the adapters, their published revisions with lineage, and which one is served.
// Owned by FeedbackLog; its thread only, inside a transaction.
#ifndef ALCHEMIST_SERVER_REVISION_TABLE_H_
#define ALCHEMIST_SERVER_REVISION_TABLE_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "server/log_rows.h"
#include "server/sqlite_database.h"

namespace alchemist {

class RevisionTable {
 public:
  static constexpr int64_t kPageMax = 1000;  // Rows of one List.
  static constexpr int64_t kLineageMax = 20'000;

  explicit RevisionTable(SqliteDatabase* database) : database_(database) {}  // Must outlive it.

  // Makes an adapter with revision 0, which is served. ALREADY_EXISTS when there is one.
  absl::Status CreateAdapter(absl::string_view adapter_id, absl::string_view digest,
                             int64_t unix_us);
  absl::StatusOr<AdapterRow> FindAdapter(absl::string_view adapter_id);  // Or NOT_FOUND.

  // A number that no revision of the adapter has had or will have, from 1. It is the caller's once
  // the transaction is committed: a crash before Commit leaves a gap, never the number twice.
  absl::StatusOr<int64_t> Mint(absl::string_view adapter_id);
  // Adds the revision of a minted number. INVALID_ARGUMENT when the number was not minted, the
  // parent does not exist, or the lineage names feedback that is not in the log; ALREADY_EXISTS
  // when the number has a revision.
  absl::Status Commit(const RevisionRow& revision);

  absl::StatusOr<RevisionId> Find(absl::string_view adapter_id, int64_t number);  // Or NOT_FOUND.
  // At most `limit` revisions from `first_number` up, each with the first `lineage_max` feedbacks
  // of its lineage, and no more once they have as many together. REQUIRES: 0 < limit <= kPageMax.
  absl::StatusOr<std::vector<RevisionRow>> List(absl::string_view adapter_id, int64_t first_number,
                                                int64_t limit, int64_t lineage_max = kLineageMax);
  // Whether a revision whose number is above `number` has the weights of `digest`.
  absl::StatusOr<bool> HasLater(absl::string_view adapter_id, int64_t number,
                                absl::string_view digest);
  // The numbers of the `count` newest revisions, or of all there are.
  absl::StatusOr<std::vector<int64_t>> Newest(absl::string_view adapter_id, int64_t count);
  // The passes that the weights of a revision hold: summed over it and all its ancestors, by
  // feedback id. What a trainer without a checkpoint, which begins there, must count as done. Not
  // of settled feedback, which gets none again.
  absl::StatusOr<std::vector<FeedbackPasses>> PassesInLineage(absl::string_view adapter_id,
                                                              int64_t number);

  absl::Status SetServing(absl::string_view adapter_id, int64_t number);  // NOT_FOUND if unknown.
  absl::Status SetPinned(absl::string_view adapter_id, bool pinned);

 private:
  absl::Status InsertRow(const RevisionRow& revision);
  absl::Status InsertLineage(const RevisionId& revision, const FeedbackPasses& passes);
  absl::Status ReadLineage(int64_t lineage_max, RevisionRow& row);

  SqliteDatabase* const database_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_REVISION_TABLE_H_
