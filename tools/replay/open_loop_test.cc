#include "tools/replay/open_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace alchemist {
namespace {

constexpr int64_t kLongUs = 20'000'000;

// Requests that the test ends: each waits until it may.
class Requests {
 public:
  void Send(int64_t index) {
    MutexLock lock(&mutex_);
    sent_.push_back(index);
    ++in_flight_;
    in_flight_max_ = std::max(in_flight_max_, in_flight_);
    changed_.NotifyAll();
    while (!may_end_) changed_.Wait(&mutex_);
    --in_flight_;
  }
  // False when they are not within 20 seconds.
  bool WaitForInFlight(int64_t count) {
    MutexLock lock(&mutex_);
    while (in_flight_ < count) {
      if (!changed_.WaitFor(&mutex_, kLongUs)) return false;
    }
    return true;
  }
  void LetEnd() {
    MutexLock lock(&mutex_);
    may_end_ = true;
    changed_.NotifyAll();
  }
  std::vector<int64_t> sent() {
    MutexLock lock(&mutex_);
    std::vector<int64_t> sent = sent_;
    std::sort(sent.begin(), sent.end());
    return sent;
  }
  int64_t in_flight_max() {
    MutexLock lock(&mutex_);
    return in_flight_max_;
  }

 private:
  Mutex mutex_;  // Requests are sent by threads of their own.
  CondVar changed_;
  bool may_end_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<int64_t> sent_ ABSL_GUARDED_BY(mutex_);
  int64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t in_flight_max_ ABSL_GUARDED_BY(mutex_) = 0;
};

std::vector<int64_t> Indices(int64_t count) {
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

TEST(OpenLoopTest, RequestsDoNotWaitForEarlierOnes) {
  Requests requests;
  OpenLoop loop(
      {0, 0, 1, 2}, /*concurrency_max=*/10, [&](int64_t index, int64_t) { requests.Send(index); },
      Clock::Real());
  EXPECT_TRUE(requests.WaitForInFlight(4));
  EXPECT_EQ(loop.sent(), 4);
  EXPECT_EQ(loop.ended(), 0);
  requests.LetEnd();
  EXPECT_TRUE(loop.WaitForEnd(kLongUs));
  EXPECT_EQ(loop.ended(), 4);
  EXPECT_EQ(requests.sent(), Indices(4));
}

TEST(OpenLoopTest, NoMoreAreInFlightThanMayBeAndEachIsSentOnce) {
  Requests requests;
  OpenLoop loop(
      std::vector<int64_t>(50, 0), /*concurrency_max=*/3,
      [&](int64_t index, int64_t) { requests.Send(index); }, Clock::Real());
  EXPECT_TRUE(requests.WaitForInFlight(3));
  EXPECT_FALSE(loop.WaitForEnd(0));
  EXPECT_EQ(loop.sent(), 3);
  requests.LetEnd();
  EXPECT_TRUE(loop.WaitForEnd(kLongUs));
  EXPECT_EQ(requests.in_flight_max(), 3);
  EXPECT_EQ(requests.sent(), Indices(50));
}

TEST(OpenLoopTest, NothingIsSentBeforeItIsDue) {
  const int64_t start_us = Clock::Real()->MonotonicUs();
  std::vector<int64_t> early_us(3), due_us(3);
  {
    OpenLoop loop(
        {0, 1'000, 30'000}, /*concurrency_max=*/3,
        [&](int64_t index, int64_t due) {
          early_us[index] = due - Clock::Real()->MonotonicUs();
          due_us[index] = due;
        },
        Clock::Real());
    EXPECT_TRUE(loop.WaitForEnd(kLongUs));
  }
  for (const int64_t early : early_us) EXPECT_LE(early, 0);
  EXPECT_GE(due_us[0], start_us);
  EXPECT_EQ(due_us[2] - due_us[0], 30'000);
}

TEST(OpenLoopTest, StoppedItSendsNoMoreAndWaitsForThoseInFlight) {
  Requests requests;
  OpenLoop loop(
      {0, kLongUs * 180, kLongUs * 180}, /*concurrency_max=*/2,
      [&](int64_t index, int64_t) { requests.Send(index); }, Clock::Real());
  EXPECT_TRUE(requests.WaitForInFlight(1));
  loop.Stop();
  EXPECT_FALSE(loop.WaitForEnd(0)) << "one is in flight";
  requests.LetEnd();
  EXPECT_TRUE(loop.WaitForEnd(kLongUs));
  EXPECT_EQ(requests.sent(), Indices(1));
  EXPECT_EQ(loop.sent(), 1);
}

TEST(OpenLoopTest, WithoutRequestsItHasEnded) {
  OpenLoop loop(
      {}, 1, [](int64_t, int64_t) {}, Clock::Real());
  EXPECT_TRUE(loop.WaitForEnd(0));
}

}  // namespace
}  // namespace alchemist
