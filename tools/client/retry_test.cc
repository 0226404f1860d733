#include "tools/client/retry.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/retry_pushback.h"

namespace alchemist {
namespace {

constexpr int64_t kMuchTimeUs = 60'000'000;

class RetryTest : public testing::Test {
 protected:
  std::optional<int64_t> Wait(const absl::Status& status, int64_t retries = 0,
                              int64_t time_left_us = kMuchTimeUs) {
    return RetryWaitUs(retries, status, time_left_us, random_);
  }
  static absl::Status Full(int64_t pushback_ms) {
    return WithRetryPushback(absl::ResourceExhaustedError("full"), pushback_ms);
  }

  const absl::Status unavailable_ = absl::UnavailableError("gone");
  Random random_{1};
};

TEST_F(RetryTest, WaitsWhatAFullServerSays) {
  EXPECT_EQ(Wait(Full(250)), 250'000);
  EXPECT_EQ(Wait(Full(250), /*retries=*/20), 250'000) << "and no more for having failed before";
  EXPECT_EQ(Wait(Full(0)), 0);
  EXPECT_EQ(Wait(Full(-1)), std::nullopt) << "the server says never";
  EXPECT_EQ(Wait(absl::ResourceExhaustedError("too large")), std::nullopt);
}

TEST_F(RetryTest, BacksOffTwiceAsLongEachTimeUpToASecond) {
  const std::vector<std::pair<int64_t, int64_t>> longest = {
      {0, 50'000}, {1, 100'000}, {4, 800'000}, {5, 1'000'000}, {1'000'000'000'000, 1'000'000}};
  for (const auto& [retries, longest_us] : longest) {
    int64_t least_us = kMuchTimeUs, most_us = 0;
    for (int i = 0; i < 1000; ++i) {
      const std::optional<int64_t> wait_us = Wait(unavailable_, retries);
      ASSERT_TRUE(wait_us.has_value());
      least_us = std::min(least_us, *wait_us);
      most_us = std::max(most_us, *wait_us);
    }
    EXPECT_GE(least_us, longest_us / 2);
    EXPECT_LT(least_us, longest_us * 6 / 10) << "spread by chance";
    EXPECT_LE(most_us, longest_us);
    EXPECT_GT(most_us, longest_us * 9 / 10);
  }
}

TEST_F(RetryTest, WhatAnUnavailableServerSaysCounts) {
  EXPECT_EQ(Wait(WithRetryPushback(unavailable_, 3'000)), 3'000'000);
  EXPECT_EQ(Wait(WithRetryPushback(unavailable_, -1)), std::nullopt);
}

TEST_F(RetryTest, ATryMustHaveTimeLeft) {
  EXPECT_EQ(Wait(Full(250), 0, 250'001), 250'000);
  EXPECT_EQ(Wait(Full(250), 0, 250'000), std::nullopt);
  EXPECT_EQ(Wait(Full(std::numeric_limits<int64_t>::max())), std::nullopt);
  EXPECT_EQ(Wait(unavailable_, 5, 500'000), std::nullopt);
  EXPECT_TRUE(Wait(unavailable_, 5, 1'000'001).has_value());
  EXPECT_EQ(Wait(Full(0), 0, 0), std::nullopt);
  EXPECT_EQ(Wait(Full(0), 0, -5), std::nullopt);
}

TEST_F(RetryTest, OtherStatusesAreFinal) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kOk, absl::StatusCode::kCancelled, absl::StatusCode::kUnknown,
        absl::StatusCode::kInvalidArgument, absl::StatusCode::kDeadlineExceeded,
        absl::StatusCode::kNotFound, absl::StatusCode::kFailedPrecondition,
        absl::StatusCode::kAborted, absl::StatusCode::kInternal, absl::StatusCode::kDataLoss}) {
    EXPECT_EQ(Wait(WithRetryPushback(absl::Status(code, "x"), 100)), std::nullopt);
  }
}

}  // namespace
}  // namespace alchemist
