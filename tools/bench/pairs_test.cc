#include "tools/bench/pairs.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace alchemist {
namespace {

absl::Status Ignore(int64_t) { return absl::OkStatus(); }

TEST(PairsTest, SidesAlternateAfterAWarmUpAndAClosesTheRow) {
  std::string order;
  std::vector<int64_t> done;
  const auto samples = MeasurePairs(
      2, [&]() -> absl::StatusOr<double> { return order += "A", order.size(); },
      [&]() -> absl::StatusOr<double> { return order += "B", order.size(); },
      [&](int64_t pairs) { return done.push_back(pairs), absl::OkStatus(); });
  ASSERT_TRUE(samples.ok()) << samples.status();
  EXPECT_EQ(order, "ABABABA");
  EXPECT_EQ(samples->a, (std::vector<double>{3, 5, 7}));
  EXPECT_EQ(samples->b, (std::vector<double>{4, 6}));
  EXPECT_EQ(done, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(Ratios(*samples), (std::vector<double>{4.0 / 3, 6.0 / 5}));
}

TEST(PairsTest, AnErrorOfASideEndsTheMeasurement) {
  int runs = 0;
  const auto fail_third = [&]() -> absl::StatusOr<double> {
    if (++runs == 3) return absl::InternalError("broken");
    return 1;
  };
  EXPECT_EQ(MeasurePairs(9, fail_third, fail_third, Ignore).status().message(), "broken");
  EXPECT_EQ(runs, 3);
}

TEST(PairsTest, AStopBetweenPairsEndsTheMeasurement) {
  const auto one = []() -> absl::StatusOr<double> { return 1; };
  const auto stop = [](int64_t pairs) {
    return pairs < 2 ? absl::OkStatus() : absl::CancelledError("stopped");
  };
  EXPECT_EQ(MeasurePairs(9, one, one, stop).status().message(), "stopped");
}

}  // namespace
}  // namespace alchemist
