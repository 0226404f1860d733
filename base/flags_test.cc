#include "base/flags.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

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

TEST(EndFlagsBeforeNumberTest, ANegativeNumberIsAnArgument) {
  const auto after = [](std::vector<std::string> words) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    EndFlagsBeforeNumber(pointers);
    return std::vector<std::string>(pointers.begin(), pointers.end());
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(after({"ctl", "--key=k", "rate", "id", "-1"}),
            (Words{"ctl", "--key=k", "rate", "id", "--", "-1"}));
  EXPECT_EQ(after({"ctl", "rate", "id", "1", "-v"}), (Words{"ctl", "rate", "id", "1", "-v"}));
}

}  // namespace
}  // namespace alchemist
