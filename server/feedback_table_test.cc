#include "server/feedback_table.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const RevisionId kRevision = {"default", 1, "digest-1"};

class FeedbackTableTest : public testing::Test {
 protected:
  FeedbackTableTest() {
    for (const char* id : {"cmpl-1", "cmpl-2", "cmpl-3"}) {
      const absl::Status status = AddCompletion(log_.get(), TestCompletion(id));
      EXPECT_TRUE(status.ok()) << status;
    }
  }

  FeedbackRow Add(const NewFeedback& feedback) {
    const auto added = AddFeedback(log_.get(), feedback);
    EXPECT_TRUE(added.ok()) << added.status();
    return added.ok() ? added->row : FeedbackRow();
  }

  FeedbackRow Get(const std::string& feedback_id) {
    const auto row = GetFeedback(log_.get(), feedback_id);
    EXPECT_TRUE(row.ok()) << row.status();
    return row.ok() ? *row : FeedbackRow();
  }

  // Ids of the unfinished feedback after `after_seq`.
  std::vector<std::string> Unfinished(int64_t after_seq = 0, int64_t limit = 100) {
    std::vector<std::string> ids;
    const absl::Status status = Transact(log_.get(), [&](FeedbackLog& l) -> absl::Status {
      ASSIGN_OR_RETURN(const auto items, l.feedback().Unfinished(after_seq, limit));
      for (const UnfinishedFeedback& item : items) {
        EXPECT_EQ(item.completion.completion_id, item.feedback.completion_id);
        ids.push_back(item.feedback.feedback_id);
      }
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return ids;
  }

  int64_t CountUnfinished() {
    int64_t count = -1;
    const absl::Status status = Transact(log_.get(), [&](FeedbackLog& l) -> absl::Status {
      ASSIGN_OR_RETURN(count, l.feedback().CountUnfinished());
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return count;
  }

  absl::Status RecordPasses(const std::vector<FeedbackProgress>& changed) {
    return Transact(log_.get(), [&](FeedbackLog& l) { return l.feedback().RecordPasses(changed); });
  }

  const std::string directory_ = FreshDirectory();
  std::unique_ptr<FeedbackLog> log_ = OpenLog(directory_);
};

TEST_F(FeedbackTableTest, KeepsWhatWasSentOverARestart) {
  NewFeedback sent = TestCorrection("fb-1", "cmpl-1", "The right answer.");
  sent.tenant = "tenant";
  sent.reason = "why";
  sent.disposition = Disposition::kWillRecompute;
  Add(sent);
  log_.reset();
  log_ = OpenLog(directory_);

  const FeedbackRow row = Get("fb-1");
  EXPECT_EQ(row.seq, 1);
  EXPECT_EQ(row.tenant, "tenant");
  EXPECT_EQ(row.idempotency_key, sent.idempotency_key);
  EXPECT_EQ(row.completion_id, "cmpl-1");
  EXPECT_TRUE(row.is_correction());
  EXPECT_EQ(row.correction_text, "The right answer.");
  EXPECT_EQ(row.correction_tokens, sent.correction_tokens);
  EXPECT_EQ(row.disposition, Disposition::kWillRecompute);
  EXPECT_EQ(row.reason, "why");
  EXPECT_EQ(row.submitted_unix_us, sent.submitted_unix_us);
  EXPECT_TRUE(row.trainable);
  EXPECT_EQ(row.passes, 0);
  EXPECT_EQ(row.end, TrainingEnd::kOpen);
  EXPECT_FALSE(row.first_revision.has_value());
}

TEST_F(FeedbackTableTest, SameKeyAndContentGetsTheFirstAnswer) {
  Add(TestCorrection("fb-1", "cmpl-1", "text"));
  NewFeedback again = TestCorrection("fb-2", "cmpl-1", "text");
  again.idempotency_key = "key-fb-1";
  again.disposition = Disposition::kQueued;  // What is known now is not what was answered then.
  const auto added = AddFeedback(log_.get(), again);
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_TRUE(added->duplicate);
  EXPECT_EQ(added->row.feedback_id, "fb-1");
  EXPECT_EQ(added->row.disposition, Disposition::kRecordHeld);
  EXPECT_EQ(GetFeedback(log_.get(), "fb-2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FeedbackTableTest, SameKeyWithOtherContentIsRefused) {
  Add(TestCorrection("fb-1", "cmpl-1", "text"));
  std::vector<NewFeedback> others = {TestCorrection("fb-2", "cmpl-1", "other text"),
                                     TestCorrection("fb-2", "cmpl-2", "text"),
                                     TestRating("fb-2", "cmpl-1", 1)};
  for (NewFeedback& other : others) {
    other.idempotency_key = "key-fb-1";
    const absl::Status status = AddFeedback(log_.get(), other).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("fb-1"));
  }
  others[0].tenant = "another tenant";
  const auto added = AddFeedback(log_.get(), others[0]);
  ASSERT_TRUE(added.ok()) << "a key is its tenant's own: " << added.status();
  EXPECT_FALSE(added->duplicate);
}

TEST_F(FeedbackTableTest, RefusesAnUnknownCompletion) {
  const absl::Status status = AddFeedback(log_.get(), TestRating("fb-1", "cmpl-9", 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(Unfinished(), IsEmpty());
}

TEST_F(FeedbackTableTest, OnlyPositiveRatingsAndCorrectionsAreTrained) {
  Add(TestRating("fb-good", "cmpl-1", 1));
  Add(TestRating("fb-bad", "cmpl-2", -1));
  Add(TestCorrection("fb-right", "cmpl-3", "text"));
  NewFeedback refused = TestCorrection("fb-refused", "cmpl-3", "longer than the context");
  refused.disposition = Disposition::kRejected;
  Add(refused);
  EXPECT_THAT(Unfinished(), ElementsAre("fb-good", "fb-right"));
  EXPECT_EQ(CountUnfinished(), 2);
  EXPECT_FALSE(Get("fb-bad").trainable);
}

TEST_F(FeedbackTableTest, ACorrectionWinsOverAnEarlierRating) {
  Add(TestRating("fb-rating", "cmpl-1", 1));
  Add(TestRating("fb-other", "cmpl-2", 1));
  Add(TestCorrection("fb-correction", "cmpl-1", "text"));
  EXPECT_THAT(Unfinished(), ElementsAre("fb-other", "fb-correction"));
  EXPECT_EQ(Get("fb-rating").superseded_by, "fb-correction");
  EXPECT_EQ(Get("fb-rating").disposition, Disposition::kRecordHeld) << "the answer it was given";
}

TEST_F(FeedbackTableTest, ACorrectionWinsOverALaterRating) {
  Add(TestCorrection("fb-correction", "cmpl-1", "text"));
  const FeedbackRow rating = Add(TestRating("fb-rating", "cmpl-1", 1));
  EXPECT_EQ(rating.disposition, Disposition::kRejected);
  EXPECT_THAT(rating.reason, HasSubstr("fb-correction"));
  EXPECT_EQ(rating.superseded_by, "fb-correction");
  EXPECT_THAT(Unfinished(), ElementsAre("fb-correction"));
}

TEST_F(FeedbackTableTest, ALaterCorrectionOfThePromptEndsTheEarlierOnesTraining) {
  CompletionRow again = TestCompletion("cmpl-again");
  again.prompt_tokens = TestCompletion("cmpl-1").prompt_tokens;
  ASSERT_TRUE(AddCompletion(log_.get(), again).ok());
  Add(TestCorrection("fb-done", "cmpl-1", "text"));
  ASSERT_TRUE(RecordPasses({{"fb-done", 8, TrainingEnd::kDone}}).ok());
  Add(TestCorrection("fb-1", "cmpl-1", "text"));
  Add(TestCorrection("fb-other", "cmpl-2", "text"));
  Add(TestCorrection("fb-same", "cmpl-again", "text"));
  EXPECT_THAT(Unfinished(), ElementsAre("fb-1", "fb-other", "fb-same")) << "they agree";
  Add(TestCorrection("fb-2", "cmpl-again", "better"));
  EXPECT_THAT(Unfinished(), ElementsAre("fb-other", "fb-2"));
  EXPECT_EQ(Get("fb-1").superseded_by, "fb-2");
  EXPECT_EQ(Get("fb-done").superseded_by, "") << "it had its passes";
  Add(TestRating("fb-bad", "cmpl-1", -1));
  EXPECT_THAT(Unfinished(), ElementsAre("fb-other", "fb-2"));
  // The trainer came back with a checkpoint from before.
  const absl::Status reset =
      Transact(log_.get(), [](FeedbackLog& l) { return l.feedback().ResetPasses({}); });
  ASSERT_TRUE(reset.ok()) << reset;
  EXPECT_THAT(Unfinished(), ElementsAre("fb-other", "fb-2"));
  EXPECT_EQ(Get("fb-done").superseded_by, "fb-2");
}

TEST_F(FeedbackTableTest, ListsAndResendsInPagesInTheOrderOfAdmission) {
  for (int i = 1; i <= 5; ++i) Add(TestRating(absl::StrCat("fb-", i), "cmpl-1", 1));
  ASSERT_TRUE(RecordPasses({{"fb-2", 8, TrainingEnd::kDone}}).ok());
  EXPECT_THAT(Unfinished(0, 2), ElementsAre("fb-1", "fb-3"));
  EXPECT_THAT(Unfinished(3, 2), ElementsAre("fb-4", "fb-5"));
  EXPECT_EQ(CountUnfinished(), 4);
  std::vector<int64_t> seqs;
  const absl::Status status = Transact(log_.get(), [&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(const auto page, l.feedback().List(/*after_seq=*/1, /*limit=*/3));
    for (const FeedbackRow& row : page.rows) seqs.push_back(row.seq);
    EXPECT_TRUE(page.more);
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(seqs, ElementsAre(2, 3, 4));
}

TEST_F(FeedbackTableTest, ACheckpointsListReplacesWhatWasRecorded) {
  for (int i = 1; i <= 3; ++i) Add(TestRating(absl::StrCat("fb-", i), "cmpl-1", 1));
  ASSERT_TRUE(RecordPasses({{"fb-1", 8, TrainingEnd::kDone}, {"fb-2", 3}}).ok());
  const absl::Status marked = Transact(log_.get(), [](FeedbackLog& l) {
    return l.feedback().MarkRecordReused({"fb-1", "fb-2"});
  });
  ASSERT_TRUE(marked.ok()) << marked;
  EXPECT_THAT(Unfinished(), ElementsAre("fb-2", "fb-3"));

  // The trainer is back with an older checkpoint.
  const std::vector<FeedbackProgress> all = {{"fb-1", 5}};
  const absl::Status reset =
      Transact(log_.get(), [&](FeedbackLog& l) { return l.feedback().ResetPasses(all); });
  ASSERT_TRUE(reset.ok()) << reset;
  EXPECT_THAT(Unfinished(), ElementsAre("fb-1", "fb-2", "fb-3"));
  EXPECT_EQ(Get("fb-1").passes, 5);
  EXPECT_TRUE(Get("fb-1").record_reused);
  EXPECT_EQ(Get("fb-2").passes, 0);
  EXPECT_FALSE(Get("fb-2").record_reused);
}

TEST_F(FeedbackTableTest, ACheckpointOfAnotherLogChangesNothing) {
  Add(TestRating("fb-1", "cmpl-1", 1));
  ASSERT_TRUE(RecordPasses({{"fb-1", 2}}).ok());
  EXPECT_EQ(RecordPasses({{"fb-1", 4}, {"fb-unknown", 1}}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(RecordPasses({{"fb-1", -1}}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Get("fb-1").passes, 2);
}

TEST_F(FeedbackTableTest, APageOfLargeFeedbackIsShort) {
  const std::string text(64 << 10, 'x');
  constexpr int kCount = 40;  // 2.5 MiB.
  for (int i = 0; i < kCount; ++i) {
    Add(TestCorrection(absl::StrCat("fb-", i), "cmpl-1", text));
  }
  std::vector<size_t> pages;
  const absl::Status status = Transact(log_.get(), [&](FeedbackLog& l) -> absl::Status {
    for (int64_t after = 0;;) {
      ASSIGN_OR_RETURN(const auto page, l.feedback().List(after, FeedbackTable::kPageMax));
      pages.push_back(page.rows.size());
      if (!page.more) return absl::OkStatus();
      after = page.rows.back().seq;
    }
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(pages, ElementsAre(16, 16, 8));
}

TEST_F(FeedbackTableTest, WhatIsSettledOutlivesEveryCheckpoint) {
  for (const char* id : {"fb-1", "fb-2"}) Add(TestRating(id, "cmpl-1", 1));
  const std::vector<FeedbackProgress> settled = {{"fb-1", 8}};
  const std::vector<FeedbackProgress> older = {{"fb-1", 3}, {"fb-2", 1}};
  const std::vector<FeedbackProgress> unknown = {{"fb-unknown", 8}};
  const absl::Status status = Transact(log_.get(), [&](FeedbackLog& l) -> absl::Status {
    RETURN_IF_ERROR(l.feedback().Settle(kRevision, settled));
    EXPECT_EQ(l.feedback().Settle(kRevision, unknown).code(), absl::StatusCode::kInvalidArgument);
    RETURN_IF_ERROR(l.feedback().ResetPasses({}));
    return l.feedback().ResetPasses(older);
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Unfinished(), ElementsAre("fb-2"));
  EXPECT_EQ(Get("fb-1").passes, 8);
  EXPECT_EQ(Get("fb-1").end, TrainingEnd::kSettled);
  EXPECT_EQ(Get("fb-2").passes, 1);
}

TEST_F(FeedbackTableTest, AQuarantineOutlivesTheCheckpointThatMadeIt) {
  Add(TestRating("fb-1", "cmpl-1", 1));
  ASSERT_TRUE(RecordPasses({{"fb-1", 2, TrainingEnd::kQuarantined}}).ok());
  const std::vector<FeedbackProgress> older = {{"fb-1", 1}};
  const absl::Status reset =
      Transact(log_.get(), [&](FeedbackLog& l) { return l.feedback().ResetPasses(older); });
  ASSERT_TRUE(reset.ok()) << reset;
  EXPECT_THAT(Unfinished(), ElementsAre());
  EXPECT_EQ(Get("fb-1").end, TrainingEnd::kQuarantined);
  EXPECT_EQ(Get("fb-1").passes, 1);
}

TEST_F(FeedbackTableTest, ASupersededRatingStaysUntrainedAfterACheckpointIsLost) {
  Add(TestRating("fb-rating", "cmpl-1", 1));
  ASSERT_TRUE(RecordPasses({{"fb-rating", 1}}).ok());
  Add(TestCorrection("fb-correction", "cmpl-1", "text"));
  const absl::Status reset =
      Transact(log_.get(), [](FeedbackLog& l) { return l.feedback().ResetPasses({}); });
  ASSERT_TRUE(reset.ok()) << reset;
  EXPECT_THAT(Unfinished(), ElementsAre("fb-correction"));
}

}  // namespace
}  // namespace alchemist
