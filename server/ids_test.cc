#include "server/ids.h"

#include "absl/container/flat_hash_set.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(IdsTest, CarryTheirKindAnd128RandomBits) {
  EXPECT_THAT(MintCompletionId(), testing::MatchesRegex("cmpl-[0-9a-f]+"));
  EXPECT_THAT(MintFeedbackId(), testing::MatchesRegex("fb-[0-9a-f]+"));
  EXPECT_EQ(MintCompletionId().size(), 5u + 32u);
  EXPECT_EQ(MintFeedbackId().size(), 3u + 32u);
}

TEST(IdsTest, AreNeverMintedTwice) {
  absl::flat_hash_set<std::string> ids;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(ids.insert(MintFeedbackId()).second);
}

}  // namespace
}  // namespace alchemist
