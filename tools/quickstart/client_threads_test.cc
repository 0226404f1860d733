#include "tools/quickstart/client_threads.h"

#include <gtest/gtest.h>

#include <atomic>

namespace alchemist {
namespace {

constexpr int64_t kHourUs = 3'600'000'000;

TEST(ClientThreadsTest, EachTakesTurnsUntilItIsDone) {
  std::atomic<int> left{20};
  ClientThreads clients;
  clients.Start(3, [&]() -> absl::StatusOr<int64_t> {
    return --left <= 0 ? ClientThreads::kDone : int64_t{0};
  });
  while (!clients.ended()) std::this_thread::yield();
  EXPECT_LE(left, -2) << "all three were done";
  EXPECT_TRUE(clients.status().ok());
}

TEST(ClientThreadsTest, AFailureEndsAll) {
  std::atomic<bool> waiting{false};
  ClientThreads clients;
  clients.Start(1, [&]() -> absl::StatusOr<int64_t> {
    waiting = true;
    return kHourUs;
  });
  clients.Start(1, [&]() -> absl::StatusOr<int64_t> {
    if (!waiting) return 0;
    return absl::UnavailableError("gone");
  });
  while (!clients.ended()) std::this_thread::yield();
  EXPECT_EQ(clients.status(), absl::UnavailableError("gone"));
}

TEST(ClientThreadsTest, StopWaitsForNoClient) {
  std::atomic<int> turns{0};
  ClientThreads clients;
  clients.Start(2, [&]() -> absl::StatusOr<int64_t> {
    ++turns;
    return kHourUs;
  });
  while (turns < 2) std::this_thread::yield();
  clients.Stop();
  EXPECT_EQ(turns, 2);
  EXPECT_TRUE(clients.ended());
}

}  // namespace
}  // namespace alchemist
