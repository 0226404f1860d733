#include "server/retry_pushback.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(RetryPushbackTest, TravelsWithTheStatus) {
  const absl::Status status = WithRetryPushback(absl::ResourceExhaustedError("full"), 250);
  EXPECT_EQ(status.message(), "full");
  EXPECT_EQ(RetryPushbackMs(status), 250);
  EXPECT_EQ(RetryPushbackMs(absl::ResourceExhaustedError("full")), std::nullopt);
  EXPECT_EQ(RetryPushbackMs(absl::OkStatus()), std::nullopt);
}

TEST(QueuePaceTest, IsTheTimeForHalfOfTheQueueWithinBounds) {
  QueuePace pace;
  EXPECT_EQ(pace.PushbackMs(100, 0), QueuePace::kPushbackUnknownMs);
  for (int64_t i = 0; i < 10; ++i) pace.OnTaken(i * 20'000);
  EXPECT_EQ(pace.PushbackMs(100, 200'000), 1000) << "one each 20 ms";
  EXPECT_EQ(pace.PushbackMs(1, 200'000), QueuePace::kPushbackMinMs);
  EXPECT_EQ(pace.PushbackMs(100, 2'000'000), 10'000) << "it has slowed down since";
  EXPECT_EQ(pace.PushbackMs(100'000, 2'000'000), QueuePace::kPushbackMaxMs);
}

TEST(QueuePaceTest, TheTimeInWhichNobodyWaitedIsNotCounted) {
  QueuePace pace;
  pace.OnTaken(0);
  pace.OnEmpty();
  EXPECT_EQ(pace.PushbackMs(100, 3'600'000'000), QueuePace::kPushbackUnknownMs);
  for (int64_t i = 0; i < 10; ++i) pace.OnTaken(3'600'000'000 + i * 20'000);
  EXPECT_EQ(pace.PushbackMs(100, 3'600'200'000), 1000);
}

TEST(QueuePaceTest, FollowsTheLastOnes) {
  QueuePace pace;
  for (int64_t i = 0; i < 100; ++i) pace.OnTaken(i * 1'000'000);
  for (int64_t i = 0; i < 64; ++i) pace.OnTaken(100'000'000 + i * 10'000);
  EXPECT_EQ(pace.PushbackMs(100, 100'640'000), 500);
}

}  // namespace
}  // namespace alchemist
