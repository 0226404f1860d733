#include "base/flags.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;

TEST(DurationFlagTest, IsTheMicrosecondsOfAValueWithinTheLimits) {
  EXPECT_EQ(*DurationFlagUs("ttl_seconds", 600, 1'000'000, 1), 600'000'000);
  EXPECT_EQ(*DurationFlagUs("interval_ms", 0, 1000, 0), 0);
  EXPECT_EQ(*DurationFlagUs("ttl_seconds", 366 * 24 * 3600, 1'000'000, 1), kDurationFlagMaxUs);
}

TEST(DurationFlagTest, WhatIsOutsideNamesFlagAndLimits) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const int64_t value :
       {int64_t{0}, int64_t{-1}, int64_t{366 * 24 * 3600 + 1}, most / 1'000'000 + 1, most, -most}) {
    const absl::Status status = DurationFlagUs("ttl_seconds", value, 1'000'000, 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << value;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--ttl_seconds")) << value;
    EXPECT_THAT(std::string(status.message()), HasSubstr("[1, 31622400]")) << value;
  }
}

}  // namespace
}  // namespace alchemist
