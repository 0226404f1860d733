#include "server/feedback_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kOtherBytes = 1024;     // About what a listed feedback has beside its text.
constexpr int kPayloadDigestColumn = 19;  // The last of the view feedback_rows.

// Whether feedback with this answer is trained.
bool IsTrainable(const NewFeedback& feedback) {
  switch (feedback.disposition) {
    case Disposition::kRecordHeld:
    case Disposition::kWillRecompute:
    case Disposition::kQueued:
      return true;
    case Disposition::kNotTrainedYet:
    case Disposition::kRejected:
      return false;
  }
  return false;
}

// Of what the client sent. The length keeps id and text apart.
std::string PayloadDigest(const NewFeedback& feedback) {
  return Sha256Hex(absl::StrCat(feedback.completion_id.size(), ":", feedback.completion_id,
                                feedback.rating, ":", feedback.correction_text));
}

// The row of feedback_rows that `query` stands on.
absl::StatusOr<FeedbackRow> ReadRow(const Query& query) {
  FeedbackRow row;
  row.seq = query.Int64(0);
  row.feedback_id = query.Text(1);
  row.tenant = query.Text(2);
  row.idempotency_key = query.Text(3);
  row.completion_id = query.Text(4);
  row.rating = static_cast<int32_t>(query.Int64(5));
  row.correction_text = query.Text(6);
  ASSIGN_OR_RETURN(row.correction_tokens, query.Tokens(7));
  row.disposition = static_cast<Disposition>(query.Int64(8));
  row.reason = query.Text(9);
  row.submitted_unix_us = query.Int64(10);
  row.trainable = query.Int64(11) != 0;
  row.superseded_by = query.Text(12);
  row.passes = query.Int64(13);
  row.end = static_cast<TrainingEnd>(query.Int64(14));
  row.record_reused = query.Int64(15) != 0;
  if (!query.IsNull(17)) row.first_revision = {query.Text(16), query.Int64(17), query.Text(18)};
  return row;
}

absl::StatusOr<std::vector<FeedbackRow>> ReadRows(Query query) {
  std::vector<FeedbackRow> rows;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, query.Step());
    if (!more) return rows;
    ASSIGN_OR_RETURN(FeedbackRow row, ReadRow(query));
    rows.push_back(std::move(row));
  }
}

absl::Status UnknownFeedback(absl::string_view feedback_id) {
  return absl::FailedPreconditionError(absl::StrCat("the trainer's checkpoint names feedback ",
                                                    feedback_id, ", which is not in this log"));
}

}  // namespace

std::string FeedbackLogId(const FeedbackRow& feedback) {
  return absl::StrCat("feedback ", feedback.feedback_id, " on completion ", feedback.completion_id);
}

absl::StatusOr<AddedFeedback> FeedbackTable::Add(const NewFeedback& feedback) {
  const std::string payload_digest = PayloadDigest(feedback);
  {
    ASSIGN_OR_RETURN(Query query, database_->Prepare("SELECT * FROM feedback_rows "
                                                     "WHERE tenant = ?1 AND idempotency_key = ?2"));
    ASSIGN_OR_RETURN(const bool known,
                     query.Bind(feedback.tenant, feedback.idempotency_key).Step());
    if (known && query.Text(kPayloadDigestColumn) != payload_digest) {
      return absl::AlreadyExistsError(
          absl::StrCat("idempotency_key was used with other content, by ", query.Text(1)));
    }
    if (known) {
      ASSIGN_OR_RETURN(FeedbackRow row, ReadRow(query));
      return AddedFeedback{/*duplicate=*/true, std::move(row)};
    }
  }
  ASSIGN_OR_RETURN(const CompletionRow completion, completions_->Find(feedback.completion_id));
  const std::string prompt_key = PromptKey(completion);
  RETURN_IF_ERROR(Insert(feedback, payload_digest, prompt_key));
  RETURN_IF_ERROR(Supersede(feedback, prompt_key));
  if (feedback.rating != 1) {
    RETURN_IF_ERROR(replay_->OnDispute(prompt_key, feedback.is_correction()));
  }
  ASSIGN_OR_RETURN(FeedbackRow row, Get(feedback.feedback_id));
  return AddedFeedback{/*duplicate=*/false, std::move(row)};
}

absl::Status FeedbackTable::Insert(const NewFeedback& feedback, absl::string_view payload_digest,
                                   absl::string_view prompt_key) {
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("INSERT INTO feedback (feedback_id, tenant, idempotency_key, "
                         "payload_digest, completion_id, rating, correction_text, "
                         "correction_tokens, disposition, reason, submitted_unix_us, trainable, "
                         "prompt_key) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"));
  query.Bind(feedback.feedback_id, feedback.tenant, feedback.idempotency_key, payload_digest,
             feedback.completion_id, feedback.rating, feedback.correction_text,
             feedback.correction_tokens, static_cast<int32_t>(feedback.disposition),
             feedback.reason, feedback.submitted_unix_us, IsTrainable(feedback), prompt_key);
  return query.Run();
}

// Lets a correction win over the ratings of its completion, whichever came first, and over earlier
// corrections of its prompt that are still to be trained.
absl::Status FeedbackTable::Supersede(const NewFeedback& feedback, absl::string_view prompt_key) {
  if (feedback.is_correction()) {
    ASSIGN_OR_RETURN(
        Query ratings,
        database_->Prepare("UPDATE feedback SET trainable = 0, superseded_by = ?1 "
                           "WHERE completion_id = ?2 AND rating <> 0 AND trainable = 1"));
    RETURN_IF_ERROR(ratings.Bind(feedback.feedback_id, feedback.completion_id).Run());
    if (!IsTrainable(feedback)) return absl::OkStatus();
    ASSIGN_OR_RETURN(
        Query corrections,
        database_->Prepare("UPDATE feedback SET trainable = 0, superseded_by = ?1 "
                           "WHERE prompt_key = ?2 AND rating = 0 AND trainable = 1 AND done = 0 "
                           "AND feedback_id <> ?1 AND correction_tokens <> ?3"));
    return corrections.Bind(feedback.feedback_id, prompt_key, feedback.correction_tokens).Run();
  }
  if (!IsTrainable(feedback)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string correction, FindCorrection(feedback.completion_id));
  if (correction.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("UPDATE feedback SET trainable = 0, superseded_by = ?1, "
                                      "disposition = ?2, reason = ?3 WHERE feedback_id = ?4"));
  return query
      .Bind(correction, static_cast<int32_t>(Disposition::kRejected),
            absl::StrCat("the completion has a correction, ", correction), feedback.feedback_id)
      .Run();
}

absl::StatusOr<std::string> FeedbackTable::FindCorrection(absl::string_view completion_id) {
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("SELECT feedback_id FROM feedback "
                         "WHERE completion_id = ?1 AND rating = 0 ORDER BY seq LIMIT 1"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(completion_id).Step());
  return row ? query.Text(0) : "";
}

absl::StatusOr<FeedbackRow> FeedbackTable::Get(absl::string_view feedback_id) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT * FROM feedback_rows WHERE feedback_id = ?1"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(feedback_id).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("no feedback ", feedback_id));
  return ReadRow(query);
}

absl::StatusOr<FeedbackPage> FeedbackTable::List(int64_t after_seq, int64_t limit) {
  CHECK(limit > 0 && limit <= kPageMax) << limit;
  ASSIGN_OR_RETURN(Query query, database_->Prepare("SELECT * FROM feedback_rows WHERE seq > ?1 "
                                                   "ORDER BY seq LIMIT ?2"));
  query.Bind(after_seq, limit + 1);
  FeedbackPage page;
  int64_t bytes = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return page;
    page.more = static_cast<int64_t>(page.rows.size()) == limit || bytes >= kPageBytes;
    if (page.more) return page;
    ASSIGN_OR_RETURN(FeedbackRow read, ReadRow(query));
    bytes += static_cast<int64_t>(read.correction_text.size()) + kOtherBytes;
    page.rows.push_back(std::move(read));
  }
}

absl::StatusOr<std::vector<UnfinishedFeedback>> FeedbackTable::Unfinished(int64_t after_seq,
                                                                          int64_t limit) {
  CHECK(limit > 0 && limit <= kPageMax) << limit;
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare("SELECT * FROM feedback_rows WHERE trainable = 1 AND "
                                      "done = 0 AND seq > ?1 ORDER BY seq LIMIT ?2"));
  query.Bind(after_seq, limit);
  ASSIGN_OR_RETURN(std::vector<FeedbackRow> rows, ReadRows(std::move(query)));
  std::vector<UnfinishedFeedback> unfinished;
  for (FeedbackRow& row : rows) {
    ASSIGN_OR_RETURN(CompletionRow completion, completions_->Find(row.completion_id));
    unfinished.push_back({std::move(row), std::move(completion)});
  }
  return unfinished;
}

absl::StatusOr<int64_t> FeedbackTable::CountUnfinished() {
  ASSIGN_OR_RETURN(Query query, database_->Prepare("SELECT COUNT(*) FROM feedback "
                                                   "WHERE trainable = 1 AND done = 0"));
  RETURN_IF_ERROR(query.Step().status());
  return query.Int64(0);
}

absl::Status FeedbackTable::RecordPasses(absl::Span<const FeedbackProgress> changed) {
  for (const FeedbackProgress& progress : changed) {
    ASSIGN_OR_RETURN(Query query,
                     database_->Prepare("UPDATE feedback SET passes = IIF(done = 3, passes, ?2), "
                                        "done = IIF(done > 1, done, ?3) WHERE feedback_id = ?1"));
    RETURN_IF_ERROR(
        query.Bind(progress.feedback_id, progress.passes, static_cast<int32_t>(progress.end))
            .Run());
    if (database_->rows_changed() == 0) return UnknownFeedback(progress.feedback_id);
  }
  return absl::OkStatus();
}

absl::Status FeedbackTable::MarkRecordReused(absl::Span<const std::string> feedback_ids) {
  for (const std::string& feedback_id : feedback_ids) {
    ASSIGN_OR_RETURN(Query query, database_->Prepare("UPDATE feedback SET record_reused = 1 "
                                                     "WHERE feedback_id = ?1"));
    RETURN_IF_ERROR(query.Bind(feedback_id).Run());
    if (database_->rows_changed() == 0) return UnknownFeedback(feedback_id);
  }
  return absl::OkStatus();
}

absl::Status FeedbackTable::Settle(const RevisionId& revision,
                                   absl::Span<const FeedbackProgress> done) {
  for (const FeedbackProgress& progress : done) {
    ASSIGN_OR_RETURN(Query query, database_->Prepare("UPDATE feedback SET passes = ?2, done = 3 "
                                                     "WHERE feedback_id = ?1"));
    RETURN_IF_ERROR(query.Bind(progress.feedback_id, progress.passes).Run());
    if (database_->rows_changed() == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("settled: feedback ", progress.feedback_id, " is not in this log"));
    }
    RETURN_IF_ERROR(
        replay_->AddSettled(revision.adapter_id, revision.number, progress.feedback_id));
  }
  return absl::OkStatus();
}

absl::Status FeedbackTable::ResetPasses(absl::Span<const FeedbackProgress> all) {
  {
    // Of the checkpoint's own word; a quarantine stays one, and what is settled stays as it is.
    ASSIGN_OR_RETURN(Query query, database_->Prepare(
                                      "UPDATE feedback SET passes = 0, done = IIF(done = 2, 2, 0) "
                                      "WHERE done <> 3 AND (passes <> 0 OR done = 1)"));
    RETURN_IF_ERROR(query.Run());
  }
  RETURN_IF_ERROR(RecordPasses(all));
  {
    // What a later correction found done, and is not any more, ends as Supersede would have ended
    // it.
    ASSIGN_OR_RETURN(Query query, database_->Prepare(R"sql(
        UPDATE feedback AS f SET trainable = 0, superseded_by = later.feedback_id
        FROM feedback AS later
        WHERE f.rating = 0 AND f.trainable = 1 AND f.done = 0
        AND later.feedback_id = (
          SELECT feedback_id FROM feedback l
          WHERE l.prompt_key = f.prompt_key AND l.rating = 0 AND l.seq > f.seq AND l.trainable = 1
          AND l.done <> 2 AND l.correction_tokens <> f.correction_tokens
          ORDER BY seq DESC LIMIT 1))sql"));
    RETURN_IF_ERROR(query.Run());
  }
  // A first pass that is not in the checkpoint will be made again, over whatever is there then.
  ASSIGN_OR_RETURN(Query query, database_->Prepare("UPDATE feedback SET record_reused = 0 "
                                                   "WHERE record_reused = 1 AND passes = 0"));
  return query.Run();
}

}  // namespace alchemist
