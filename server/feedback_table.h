// FeedbackTable: what clients said of completions, in the order of admission, and how far training
// has come with it. Owned by FeedbackLog; its thread only, inside a transaction.
#ifndef ALCHEMIST_SERVER_FEEDBACK_TABLE_H_
#define ALCHEMIST_SERVER_FEEDBACK_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "server/completion_table.h"
#include "server/log_rows.h"
#include "server/replay_pool.h"
#include "server/sqlite_database.h"

namespace alchemist {

struct AddedFeedback {
  bool duplicate = false;  // The key and content were admitted before: `row` is that first one.
  FeedbackRow row;
};

struct FeedbackPage {
  std::vector<FeedbackRow> rows;
  bool more = false;  // There are rows after the last.
};

// Feedback that the trainer is to make passes over, with the answer it is about.
struct UnfinishedFeedback {
  FeedbackRow feedback;
  CompletionRow completion;
};

// "feedback fb-... on completion cmpl-...", for the server's log. Pure.
std::string FeedbackLogId(const FeedbackRow& feedback);

class FeedbackTable {
 public:
  static constexpr int64_t kPageMax = 1000;  // Rows of one List or Unfinished.
  static constexpr int64_t kPageBytes = 1 << 20;

  // All three must outlive the table.
  FeedbackTable(SqliteDatabase* database, CompletionTable* completions, ReplayPool* replay)
      : database_(database), completions_(completions), replay_(replay) {}

  // Admits feedback once per (tenant, idempotency key). ALREADY_EXISTS when the key came with other
  // content, NOT_FOUND when the completion is not in the log. A correction takes the place of all
  // ratings of its completion, those before and those after it; a rating of +1 that comes
  // after is admitted as kRejected and says why. It also takes the place of earlier corrections of
  // its prompt that are not done and say something else: two would pull the model to and fro.
  absl::StatusOr<AddedFeedback> Add(const NewFeedback& feedback);

  absl::StatusOr<FeedbackRow> Get(absl::string_view feedback_id);  // Or NOT_FOUND.

  // At most `limit` rows with seq > after_seq, in that order, and no more once they have
  // kPageBytes. REQUIRES: 0 < limit <= kPageMax.
  absl::StatusOr<FeedbackPage> List(int64_t after_seq, int64_t limit);
  // At most `limit` of those that are trainable and not done.
  absl::StatusOr<std::vector<UnfinishedFeedback>> Unfinished(int64_t after_seq, int64_t limit);
  absl::StatusOr<int64_t> CountUnfinished();

  // Notes what a new checkpoint changed; quarantined and settled are for good. FAILED_PRECONDITION
  // when it names feedback that is not in this log: then it is another log's checkpoint, and the
  // caller rolls back.
  absl::Status RecordPasses(absl::Span<const FeedbackProgress> changed);
  absl::Status MarkRecordReused(absl::Span<const std::string> feedback_ids);
  // These need no further pass, and `revision`, of the same transaction, holds what they had: no
  // checkpoint changes that any more. The corrections among them may be replayed from now on, if
  // its lineage says the same. INVALID_ARGUMENT for feedback that is not in this log.
  absl::Status Settle(const RevisionId& revision, absl::Span<const FeedbackProgress> done);
  // Replaces all that is known of passes, but for what is settled, by a checkpoint's whole list:
  // the trainer may have come back with an older one, and its checkpoint is the truth.
  absl::Status ResetPasses(absl::Span<const FeedbackProgress> all);

 private:
  absl::StatusOr<std::string> FindCorrection(absl::string_view completion_id);
  absl::Status Insert(const NewFeedback& feedback, absl::string_view payload_digest,
                      absl::string_view prompt_key);
  absl::Status Supersede(const NewFeedback& feedback, absl::string_view prompt_key);

  SqliteDatabase* const database_;
  CompletionTable* const completions_;
  ReplayPool* const replay_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_FEEDBACK_TABLE_H_
