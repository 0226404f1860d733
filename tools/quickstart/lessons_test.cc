#include "tools/quickstart/lessons.h"

#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr int64_t kSecondUs = 1'000'000;
constexpr Pace kFast = {.facts_per_second = 1e6, .open_max = 100};

// Gives `fact` one correction of an answer of revision 0.
void Correct(Lessons& lessons, int64_t fact, int64_t now_us) {
  lessons.OnFeedback(fact, absl::StrCat("fb-", fact), /*is_correction=*/true, 0, now_us);
  lessons.OnAllGiven(fact);
}

TEST(LessonsTest, FactsAreBegunInOrderAtTheRate) {
  Lessons lessons(3, {.facts_per_second = 2, .open_max = 100});
  EXPECT_EQ(lessons.Begin(10), 0);
  EXPECT_EQ(lessons.Begin(10 + kSecondUs / 2 - 1), std::nullopt);
  EXPECT_EQ(lessons.Begin(10 + kSecondUs / 2), 1);
  EXPECT_EQ(lessons.Begin(10 * kSecondUs), 2);
  EXPECT_EQ(lessons.Begin(20 * kSecondUs), std::nullopt) << "none is left";
}

TEST(LessonsTest, NoMoreThanOpenMaxAreUnderWay) {
  Lessons lessons(4, {.facts_per_second = 1e6, .open_max = 2});
  EXPECT_EQ(lessons.Begin(1 * kSecondUs), 0);
  EXPECT_EQ(lessons.Begin(2 * kSecondUs), 1);
  EXPECT_EQ(lessons.Begin(3 * kSecondUs), std::nullopt);
  Correct(lessons, 0, 3 * kSecondUs);
  EXPECT_EQ(lessons.Begin(4 * kSecondUs), std::nullopt);
  lessons.OnWatched(0, 1, /*right=*/true, 4 * kSecondUs);
  EXPECT_EQ(lessons.Begin(5 * kSecondUs), 2);
  EXPECT_EQ(lessons.Begin(6 * kSecondUs), std::nullopt);
}

TEST(LessonsTest, AFactThatIsNeverLearnedHoldsNobodyUpOnceItIsTrained) {
  Lessons lessons(2, {.facts_per_second = 1e6, .open_max = 1});
  EXPECT_EQ(lessons.Begin(1 * kSecondUs), 0);
  Correct(lessons, 0, kSecondUs);
  EXPECT_EQ(lessons.Begin(2 * kSecondUs), std::nullopt);
  lessons.OnServed("fb-0");
  EXPECT_EQ(lessons.Begin(3 * kSecondUs), 1);
}

TEST(LessonsTest, AFactIsWatchedOncePerRevisionUntilItIsRight) {
  Lessons lessons(1, kFast);
  EXPECT_EQ(lessons.Begin(1), 0);
  EXPECT_EQ(lessons.NextWatch(5), std::nullopt) << "nothing is corrected yet";
  lessons.OnFeedback(0, "fb-0", /*is_correction=*/true, /*revision=*/5, 1);
  EXPECT_EQ(lessons.NextWatch(5), std::nullopt) << "revision 5 gave the wrong answer";
  EXPECT_EQ(lessons.NextWatch(6), 0);
  EXPECT_EQ(lessons.NextWatch(6), std::nullopt) << "somebody is asking";
  lessons.OnWatched(0, /*revision=*/7, /*right=*/false, 2);
  EXPECT_EQ(lessons.NextWatch(7), std::nullopt) << "revision 7's answer is known";
  EXPECT_EQ(lessons.NextWatch(8), 0);
  lessons.OnWatched(0, 8, /*right=*/true, 3);
  EXPECT_EQ(lessons.NextWatch(9), std::nullopt);
}

TEST(LessonsTest, TimeRunsFromTheFirstCorrectionToTheFirstRightAnswer) {
  Lessons lessons(3, kFast);
  for (int64_t fact = 0; fact < 3; ++fact) EXPECT_EQ(lessons.Begin(10 * (fact + 1)), fact);
  lessons.OnFeedback(0, "a", /*is_correction=*/false, 0, 1 * kSecondUs);  // A right answer.
  lessons.OnFeedback(0, "b", /*is_correction=*/true, 0, 2 * kSecondUs);
  lessons.OnFeedback(0, "c", /*is_correction=*/true, 0, 9 * kSecondUs);
  lessons.OnWatched(0, 1, /*right=*/false, 4 * kSecondUs);
  lessons.OnWatched(0, 2, /*right=*/true, 5 * kSecondUs);
  lessons.OnFeedback(1, "d", /*is_correction=*/true, 0, 2 * kSecondUs);
  lessons.OnFeedback(2, "e", /*is_correction=*/false, 0, 2 * kSecondUs);
  // Fact 1 was never seen right; fact 2 was never corrected.
  EXPECT_EQ(lessons.SecondsToServed(),
            (std::vector<double>{3, std::numeric_limits<double>::infinity()}));
  EXPECT_EQ(lessons.counts().corrected, 2);
  EXPECT_EQ(lessons.counts().seen, 1);
  EXPECT_EQ(lessons.counts().feedback, 5);
}

TEST(LessonsTest, FinishesWhenAllIsServedAndTheLastRevisionWasAsked) {
  Lessons lessons(2, kFast);
  EXPECT_EQ(lessons.Begin(1), 0);
  Correct(lessons, 0, 1);
  lessons.OnServed("fb-0");
  lessons.OnWatched(0, 3, /*right=*/true, 2);
  EXPECT_FALSE(lessons.Finished(3)) << "fact 1 is not begun";
  EXPECT_EQ(lessons.Begin(10), 1);
  EXPECT_FALSE(lessons.Finished(3)) << "fact 1 has no feedback yet";
  Correct(lessons, 1, 11);
  EXPECT_EQ(lessons.NextWatch(3), 1);
  lessons.OnWatched(1, 3, /*right=*/false, 12);
  EXPECT_FALSE(lessons.Finished(3)) << "its feedback is not served";
  lessons.OnServed("fb-1");
  lessons.OnServed("fb-1");
  lessons.OnServed("fb-of-another-client");
  EXPECT_EQ(lessons.counts().served, 2);
  EXPECT_TRUE(lessons.Finished(3));
  EXPECT_FALSE(lessons.Finished(4)) << "fact 1 may be right at revision 4";
  EXPECT_EQ(lessons.NextWatch(4), 1);
  EXPECT_FALSE(lessons.Finished(4)) << "somebody is asking";
  lessons.OnWatched(1, 4, /*right=*/false, 13);
  EXPECT_TRUE(lessons.Finished(4));
}

}  // namespace
}  // namespace alchemist
