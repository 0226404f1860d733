#include "tools/replay/retry_waits.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/clock.h"

namespace alchemist {
namespace {

constexpr int64_t kHourUs = int64_t{3600} * 1'000'000;

TEST(RetryWaitsTest, WaitsAsLongAsItIsToldAndCounts) {
  RetryWaits waits;
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  waits.Wait(2'000);
  waits.Wait(0);
  EXPECT_GE(Clock::Real()->MonotonicUs() - begin_us, 2'000);
  EXPECT_EQ(waits.count(), 2);
}

TEST(RetryWaitsTest, StopEndsAWaitAndThoseThatBeginLater) {
  RetryWaits waits;
  std::thread waiting([&] { waits.Wait(kHourUs); });
  while (waits.count() == 0) std::this_thread::yield();
  waits.Stop();
  waiting.join();
  waits.Wait(kHourUs);
  EXPECT_TRUE(waits.stopped());
  EXPECT_EQ(waits.count(), 0) << "no try comes after them";
}

}  // namespace
}  // namespace alchemist
