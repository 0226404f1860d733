#include "server/replay_pool.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<ReplayCandidate> DrawFrom(FeedbackLog* log, ReplaySource source, int64_t count,
                                      const std::string& adapter_id = "default") {
  std::vector<ReplayCandidate> drawn;
  const absl::Status status = Transact(log, [&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(drawn, l.replay().Draw(adapter_id, source, count));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return drawn;
}

// The completion ids of drawn answers.
std::vector<std::string> Draw(FeedbackLog* log, int64_t count) {
  std::vector<std::string> ids;
  for (const ReplayCandidate& candidate : DrawFrom(log, ReplaySource::kAnswer, count)) {
    EXPECT_EQ(candidate.feedback_id, "");
    ids.push_back(candidate.completion_id);
  }
  return ids;
}

std::unique_ptr<FeedbackLog> LogOf(int completions, const FeedbackLog::Options& options = {}) {
  auto log = OpenLog(FreshDirectory(), options);
  const absl::Status status = Transact(log.get(), [&](FeedbackLog& l) -> absl::Status {
    for (int i = 0; i < completions; ++i) {
      RETURN_IF_ERROR(l.completions().Add(TestCompletion(absl::StrCat("cmpl-", i))));
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return log;
}

TEST(ReplayPoolTest, DrawsEveryCompletionEquallyOften) {
  constexpr int kCompletions = 12;
  constexpr int kCount = 5;
  constexpr int kDraws = 3000;
  auto log = LogOf(kCompletions + 1);
  // The gap that a removal leaves must not make another one likelier.
  ASSERT_TRUE(AddFeedback(log.get(), TestRating("fb-1", "cmpl-4", -1)).ok());
  absl::flat_hash_map<std::string, int> times;
  for (int i = 0; i < kDraws; ++i) {
    for (const std::string& id : Draw(log.get(), kCount)) ++times[id];
  }
  EXPECT_EQ(times.size(), static_cast<size_t>(kCompletions));
  // Each is in a draw with probability p, independently of other draws: 5 standard deviations.
  const double p = static_cast<double>(kCount) / kCompletions;
  const double bound = 5 * std::sqrt(kDraws * p * (1 - p));
  for (const auto& [id, count] : times) EXPECT_NEAR(count, kDraws * p, bound) << id;
}

TEST(ReplayPoolTest, TheSameSeedDrawsTheSame) {
  const auto draws = [](uint64_t seed) {
    FeedbackLog::Options options;
    options.replay_seed = seed;
    auto log = LogOf(40, options);
    std::vector<std::string> all = Draw(log.get(), 10);
    for (std::string& id : Draw(log.get(), 10)) all.push_back(std::move(id));
    return all;
  };
  EXPECT_EQ(draws(7), draws(7));
  EXPECT_NE(draws(7), draws(8));
}

TEST(ReplayPoolTest, GivesFewerWhenTheLogIsSmallAndNoneTwice) {
  auto log = LogOf(3);
  EXPECT_THAT(Draw(log.get(), 10), UnorderedElementsAre("cmpl-0", "cmpl-1", "cmpl-2"));
  EXPECT_THAT(DrawFrom(log.get(), ReplaySource::kAnswer, 10, "another adapter"), IsEmpty());
  EXPECT_THAT(Draw(log.get(), 0), IsEmpty());
}

TEST(ReplayPoolTest, LeavesOutWhatWasCorrectedRatedDownOrCancelled) {
  auto log = LogOf(4);
  CompletionRow steered = TestCompletion("cmpl-steered");
  steered.is_steered = true;
  ASSERT_TRUE(AddCompletion(log.get(), steered).ok());
  CompletionRow cancelled = TestCompletion("cmpl-cancelled");
  cancelled.finish_reason = FinishReason::kCancelled;
  ASSERT_TRUE(AddCompletion(log.get(), cancelled).ok());
  CompletionRow empty = TestCompletion("cmpl-empty");
  empty.response_tokens.clear();
  empty.log_probs.clear();
  ASSERT_TRUE(AddCompletion(log.get(), empty).ok());
  ASSERT_TRUE(AddFeedback(log.get(), TestRating("fb-1", "cmpl-0", 1)).ok());
  ASSERT_TRUE(AddFeedback(log.get(), TestRating("fb-2", "cmpl-1", -1)).ok());
  ASSERT_TRUE(AddFeedback(log.get(), TestCorrection("fb-3", "cmpl-3", "text")).ok());
  ASSERT_TRUE(AddFeedback(log.get(), TestCorrection("fb-4", "cmpl-3", "again")).ok());
  EXPECT_THAT(Draw(log.get(), 10), UnorderedElementsAre("cmpl-0", "cmpl-2"));
}

// A wrong answer that somebody else got, or got again while the correction was being learned, has
// no feedback of its own.
TEST(ReplayPoolTest, ADisputedPromptsAnswersLeaveAndNoneJoins) {
  auto log = LogOf(3);
  const auto add = [&](const std::string& id, const CompletionRow& like) {
    CompletionRow completion = TestCompletion(id);
    completion.tenant = like.tenant;
    completion.revision = like.revision;
    completion.prompt_tokens = like.prompt_tokens;
    ASSERT_TRUE(AddCompletion(log.get(), completion).ok());
  };
  const CompletionRow asked = TestCompletion("cmpl-1");
  CompletionRow other_tenant = asked, other_adapter = asked, longer = asked;
  other_tenant.tenant = "another tenant";
  other_adapter.revision.adapter_id = "another adapter";
  longer.prompt_tokens.push_back(1);
  add("before-1", asked);
  add("tenant", other_tenant);
  add("adapter", other_adapter);
  add("longer", longer);
  add("before-2", asked);
  ASSERT_TRUE(AddFeedback(log.get(), TestRating("fb-good", "before-1", 1)).ok());
  EXPECT_EQ(Draw(log.get(), 10).size(), 7u) << "a good rating disputes nothing";

  ASSERT_TRUE(AddFeedback(log.get(), TestCorrection("fb-1", "cmpl-1", "text")).ok());
  add("after", asked);
  EXPECT_THAT(Draw(log.get(), 10), UnorderedElementsAre("cmpl-0", "cmpl-2", "tenant", "longer"));
  EXPECT_EQ(DrawFrom(log.get(), ReplaySource::kAnswer, 10, "another adapter").size(), 1u);

  ASSERT_TRUE(AddFeedback(log.get(), TestRating("fb-2", "longer", -1)).ok());
  add("longer-after", longer);
  EXPECT_THAT(Draw(log.get(), 10), UnorderedElementsAre("cmpl-0", "cmpl-2", "tenant"));
}

TEST(ReplayPoolTest, OnePromptHasABoundedNumberOfAnswers) {
  auto log = LogOf(1);
  const absl::Status status = Transact(log.get(), [](FeedbackLog& l) -> absl::Status {
    for (int i = 0; i < ReplayPool::kAnswersPerPromptMax + 5; ++i) {
      CompletionRow probe = TestCompletion(absl::StrCat("probe-", i));
      probe.prompt_tokens = {1, 2, 3};
      RETURN_IF_ERROR(l.completions().Add(probe));
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Draw(log.get(), 1000).size(), ReplayPool::kAnswersPerPromptMax + 1u);
}

class ReplayedCorrectionsTest : public testing::Test {
 protected:
  ReplayedCorrectionsTest() {
    Run([](FeedbackLog& l) -> absl::Status {
      RETURN_IF_ERROR(l.revisions().CreateAdapter("default", "digest-0", 10));
      for (const std::string n : {"1", "2", "3"}) {
        RETURN_IF_ERROR(l.completions().Add(TestCompletion("cmpl-" + n)));
        RETURN_IF_ERROR(l.feedback().Add(TestCorrection("fb-" + n, "cmpl-" + n, "text")).status());
      }
      return absl::OkStatus();
    });
  }

  void Run(absl::FunctionRef<absl::Status(FeedbackLog&)> work) {
    const absl::Status status = Transact(log_.get(), work);
    EXPECT_TRUE(status.ok()) << status;
  }
  // The next revision, with one pass over each feedback of `lineage`.
  void Publish(int64_t parent, const std::vector<std::string>& lineage,
               const std::vector<std::string>& settled) {
    Run([&](FeedbackLog& l) -> absl::Status {
      RevisionRow row;
      ASSIGN_OR_RETURN(const int64_t number, l.revisions().Mint("default"));
      row.revision = {"default", number, absl::StrCat("digest-", number)};
      row.parent = parent;
      for (const std::string& id : lineage) row.lineage.push_back({id, 1});
      RETURN_IF_ERROR(l.revisions().Commit(row));
      std::vector<FeedbackProgress> done;
      for (const std::string& id : settled) done.push_back({id, 1, TrainingEnd::kDone});
      return l.feedback().Settle(row.revision, done);
    });
  }
  // Each with a text of its own, on one further answer to the prompt of "cmpl-1".
  void CorrectFirstPromptAgain(const std::vector<std::string>& ids) {
    Run([&](FeedbackLog& l) -> absl::Status {
      CompletionRow again = TestCompletion("cmpl-again");
      again.prompt_tokens = TestCompletion("cmpl-1").prompt_tokens;
      RETURN_IF_ERROR(l.completions().Add(again));
      for (const std::string& id : ids) {
        RETURN_IF_ERROR(l.feedback().Add(TestCorrection(id, "cmpl-again", id)).status());
      }
      return absl::OkStatus();
    });
  }
  void RollBack(int64_t number) {
    Run([&](FeedbackLog& l) { return l.replay().OnRollback("default", number); });
  }
  // The feedback ids of all corrections in the pool.
  std::vector<std::string> Corrections() {
    std::vector<std::string> ids;
    for (const ReplayCandidate& each : DrawFrom(log_.get(), ReplaySource::kCorrection, 10)) {
      EXPECT_NE(each.completion_id, "");
      ids.push_back(each.feedback_id);
    }
    return ids;
  }

  const std::string directory_ = FreshDirectory();
  std::unique_ptr<FeedbackLog> log_ = OpenLog(directory_);
};

TEST_F(ReplayedCorrectionsTest, ACorrectionJoinsWithTheRevisionThatSettlesIt) {
  Run([](FeedbackLog& l) {
    return l.feedback().RecordPasses({{{"fb-1", 8, TrainingEnd::kDone}, {"fb-2", 3}}});
  });
  EXPECT_THAT(Corrections(), IsEmpty()) << "a checkpoint's word can be taken back";
  Publish(/*parent=*/0, {"fb-1", "fb-2"}, {"fb-1"});
  EXPECT_THAT(Corrections(), ElementsAre("fb-1"));
  Publish(/*parent=*/1, {"fb-3"}, {"fb-2"});
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-1", "fb-2"))
      << "an ancestor holds its passes";
  Run([](FeedbackLog& l) { return l.feedback().ResetPasses({}); });
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-1", "fb-2")) << "what is settled stays";
}

TEST_F(ReplayedCorrectionsTest, WhatWasRolledBackIsNotReplayedUntilItServesAgain) {
  Publish(/*parent=*/0, {"fb-1"}, {"fb-1"});
  Publish(/*parent=*/1, {"fb-2"}, {"fb-2"});
  RollBack(1);
  EXPECT_THAT(Corrections(), ElementsAre("fb-1"));
  log_.reset();
  log_ = OpenLog(directory_);
  EXPECT_THAT(Corrections(), ElementsAre("fb-1")) << "after a restart";
  Publish(/*parent=*/1, {"fb-3"}, {"fb-3"});
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-1", "fb-3"));
  RollBack(2);
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-1", "fb-2"));
  RollBack(0);
  EXPECT_THAT(Corrections(), IsEmpty());
}

// Its passes are not given back, so that the next revision settles it all the same.
TEST_F(ReplayedCorrectionsTest, WhatWasRolledBackBeforeItWasPublishedIsNotReplayed) {
  Publish(/*parent=*/0, {}, {});
  Run([](FeedbackLog& l) {
    return l.feedback().RecordPasses({{{"fb-1", 8, TrainingEnd::kDone}}});
  });
  RollBack(0);
  Publish(/*parent=*/0, {"fb-2"}, {"fb-1", "fb-2"});
  EXPECT_THAT(Corrections(), ElementsAre("fb-2"));
}

TEST_F(ReplayedCorrectionsTest, OnlyTheLastWordOnAPromptIsReplayed) {
  Publish(/*parent=*/0, {"fb-1", "fb-2"}, {"fb-1", "fb-2"});
  CorrectFirstPromptAgain({"fb-b", "fb-c"});
  EXPECT_THAT(Corrections(), ElementsAre("fb-2"));
  Publish(/*parent=*/1, {"fb-b"}, {"fb-b"});
  EXPECT_THAT(Corrections(), ElementsAre("fb-2")) << "there was a newer word when it was settled";
  Publish(/*parent=*/2, {"fb-c"}, {"fb-c"});
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-2", "fb-c"));
  RollBack(1);
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-1", "fb-2")) << "those after were undone";
  RollBack(3);
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-2", "fb-c"));
}

TEST_F(ReplayedCorrectionsTest, WhatALaterCorrectionFoundDoneDoesNotJoin) {
  Run([](FeedbackLog& l) {
    return l.feedback().RecordPasses({{{"fb-1", 8, TrainingEnd::kDone}}});
  });
  CorrectFirstPromptAgain({"fb-b"});
  Publish(/*parent=*/0, {"fb-1"}, {"fb-1"});
  EXPECT_THAT(Corrections(), IsEmpty());
}

// Who corrects an answer may also rate it down, and others may still rate the one from before.
TEST_F(ReplayedCorrectionsTest, ABadRatingAgreesWithTheCorrection) {
  Publish(/*parent=*/0, {"fb-1"}, {"fb-1"});
  Run([](FeedbackLog& l) -> absl::Status {
    RETURN_IF_ERROR(l.feedback().Add(TestRating("fb-bad", "cmpl-1", -1)).status());
    return l.feedback().Add(TestRating("fb-bad-2", "cmpl-2", -1)).status();
  });
  Publish(/*parent=*/1, {"fb-2"}, {"fb-2"});
  EXPECT_THAT(Corrections(), UnorderedElementsAre("fb-1", "fb-2"));
}

// One that was never trained, since a later one took its place, has no say either.
TEST_F(ReplayedCorrectionsTest, ACorrectionThatIsNotTrainedDisputesNothing) {
  Publish(/*parent=*/0, {"fb-1"}, {"fb-1"});
  CorrectFirstPromptAgain({"fb-b", "fb-c"});
  Publish(/*parent=*/1, {"fb-c"}, {"fb-c"});
  EXPECT_THAT(Corrections(), ElementsAre("fb-c"));
  RollBack(1);
  EXPECT_THAT(Corrections(), ElementsAre("fb-1"));
}

// Its passes are over, but a rollback has undone them.
TEST_F(ReplayedCorrectionsTest, ACorrectionThatWasRolledBackDisputesNothing) {
  Run([](FeedbackLog& l) -> absl::Status {
    // Done: a later correction does not end its training.
    return l.feedback().RecordPasses({{{"fb-1", 8, TrainingEnd::kDone}}});
  });
  CorrectFirstPromptAgain({"fb-wrong"});
  Publish(/*parent=*/0, {"fb-1", "fb-wrong"}, {"fb-wrong"});
  RollBack(0);
  Publish(/*parent=*/0, {"fb-1"}, {"fb-1"});
  EXPECT_THAT(Corrections(), ElementsAre("fb-1"));
}

TEST(ReplayPoolTest, IsUndoneWithItsTransaction) {
  auto log = LogOf(3);
  const absl::Status undone = Transact(log.get(), [](FeedbackLog& l) -> absl::Status {
    RETURN_IF_ERROR(l.feedback().Add(TestRating("fb-1", "cmpl-0", -1)).status());
    RETURN_IF_ERROR(l.completions().Add(TestCompletion("cmpl-3")));
    return absl::CancelledError("undo");
  });
  EXPECT_EQ(undone.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(Draw(log.get(), 10), UnorderedElementsAre("cmpl-0", "cmpl-1", "cmpl-2"));
}

}  // namespace
}  // namespace alchemist
