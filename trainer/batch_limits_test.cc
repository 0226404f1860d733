#include "trainer/batch_limits.h"

#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr BatchLimits kLimits = {.items_max = 4,
                                 .tokens_max = 100,
                                 .replay_items_min = 6,
                                 .step_interval_us = 1000,
                                 .pass_interval_us = 300};

TEST(BatchLimitsTest, AFirstPassIsDueAtOnceAndOthersAfterTheInterval) {
  EXPECT_TRUE(PassIsDue(kLimits, 0, 0));
  EXPECT_FALSE(PassIsDue(kLimits, 1, 299));
  EXPECT_TRUE(PassIsDue(kLimits, 1, 300));
}

TEST(BatchLimitsTest, AFullBatchGoesAtOnceAndOthersWaitForCompany) {
  EXPECT_FALSE(BatchIsDue(kLimits, 0, 0, 1'000'000)) << "there is nothing to train";
  EXPECT_FALSE(BatchIsDue(kLimits, 3, 99, 999));
  EXPECT_TRUE(BatchIsDue(kLimits, 3, 99, 1000));
  EXPECT_TRUE(BatchIsDue(kLimits, 4, 4, 0));
  EXPECT_TRUE(BatchIsDue(kLimits, 3, 100, 0)) << "no room for the tokens of another";
}

TEST(BatchLimitsTest, ReplayIsNeverLessThanTheFeedback) {
  EXPECT_EQ(ReplayToAsk(kLimits, 1), 6);
  EXPECT_EQ(ReplayToAsk(kLimits, 9), 9);
  const std::vector<int64_t> tokens(6, 60);
  EXPECT_EQ(ReplayToTake(kLimits, 3, tokens), 3) << "as many as feedback, whatever their length";
  EXPECT_EQ(ReplayToTake(kLimits, 9, tokens), 6) << "no more than came";
}

TEST(BatchLimitsTest, MoreReplayJoinsAsFarAsTokensGo) {
  const std::vector<int64_t> tokens = {40, 30, 30, 1};
  EXPECT_EQ(ReplayToTake(kLimits, 1, tokens), 3);
  EXPECT_EQ(ReplayToTake(kLimits, 1, {}), 0);
}

}  // namespace
}  // namespace alchemist
