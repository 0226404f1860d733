#include "kernels/worker_pool.h"

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kDeadlineUs = 20'000'000;

TEST(WorkerPoolTest, RunsEveryTileOnceForEveryThreadCount) {
  for (int threads : {1, 2, 4}) {
    WorkerPool pool({.threads = threads});
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 3, 1000}) {
      std::vector<int> calls(count);  // Not atomic: ThreadSanitizer sees a tile that runs twice.
      pool.ParallelFor(count, [&](int64_t i) { ++calls[i]; });
      EXPECT_EQ(calls, std::vector<int>(count, 1)) << threads << " threads";
    }
  }
}

// Far longer than the 20 us for which the pool's threads spin before they sleep.
void OutlastSpinning() {
  std::atomic<int> turns = 0;
  while (turns.fetch_add(1) < 200'000) {
  }
}

// Jobs follow each other at once and after waits in which workers fall asleep, so that both ways of
// waking are met; each job reads what the one before wrote.
TEST(WorkerPoolTest, LaterJobsSeeWhatEarlierOnesWrote) {
  WorkerPool pool({.threads = 3});
  constexpr int64_t kWidth = 7;
  constexpr int64_t kJobs = 20'000;
  std::vector<int64_t> values(kWidth, 0);
  std::vector<int64_t> next(kWidth, 0);
  for (int64_t job = 0; job < kJobs; ++job) {
    pool.ParallelFor(kWidth, [&](int64_t i) { next[i] = values[(i * 3) % kWidth] + 1; });
    values.swap(next);
    if (job % 1000 == 0) OutlastSpinning();
  }
  EXPECT_EQ(values, std::vector<int64_t>(kWidth, kJobs));
}

// The caller has run its tile long before the worker ends the other one.
TEST(WorkerPoolTest, ReturnsOnlyWhenTheLastTileIsDone) {
  WorkerPool pool({.threads = 2});
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> started = 0;
  bool worker_done = false;
  pool.ParallelFor(2, [&](int64_t) {
    started.fetch_add(1);
    while (started.load() < 2) std::this_thread::yield();
    if (std::this_thread::get_id() == caller) return;
    OutlastSpinning();
    worker_done = true;
  });
  EXPECT_TRUE(worker_done);
}

// Two tiles wait for each other, so that the job ends only if two threads run it.
TEST(WorkerPoolTest, TilesRunOnSeveralThreads) {
  WorkerPool pool({.threads = 2});
  Mutex mutex;
  CondVar changed;
  std::set<std::thread::id> threads;
  pool.ParallelFor(2, [&](int64_t) {
    MutexLock lock(&mutex);
    threads.insert(std::this_thread::get_id());
    changed.NotifyAll();
    while (threads.size() < 2 && changed.WaitFor(&mutex, kDeadlineUs)) {
    }
  });
  EXPECT_EQ(threads.size(), 2u);
}

TEST(WorkerPoolTest, BeforeTileRunsBeforeEachTile) {
  std::atomic<int64_t> before = 0;
  std::atomic<int64_t> behind = 0;
  WorkerPool pool({.threads = 2, .before_tile = [&] { before.fetch_add(1); }});
  std::atomic<int64_t> started = 0;
  pool.ParallelFor(100, [&](int64_t) {
    if (before.load() < started.fetch_add(1) + 1) behind.fetch_add(1);
  });
  EXPECT_EQ(before.load(), 100);
  EXPECT_EQ(behind.load(), 0);
}

TEST(WorkerPoolTest, IdlePriorityIsForTheWorkersOnly) {
  WorkerPool pool({.threads = 2, .idle_priority = true});
  const std::thread::id caller = std::this_thread::get_id();
  Mutex mutex;
  CondVar changed;
  int caller_policy = -1;
  int worker_policy = -1;
  pool.ParallelFor(2, [&](int64_t) {
    MutexLock lock(&mutex);
    (std::this_thread::get_id() == caller ? caller_policy : worker_policy) = sched_getscheduler(0);
    changed.NotifyAll();
    while ((caller_policy < 0 || worker_policy < 0) && changed.WaitFor(&mutex, kDeadlineUs)) {
    }
  });
  EXPECT_EQ(worker_policy & ~SCHED_RESET_ON_FORK, SCHED_IDLE);
  EXPECT_EQ(caller_policy, SCHED_OTHER);
  std::thread owner([] {
    EXPECT_TRUE(SetIdlePriority().ok());
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE | SCHED_RESET_ON_FORK)
        << "threads it makes are not idle";
  });
  owner.join();
}

TEST(WorkerPoolDeathTest, ParallelForInsideATileIsACheckFailure) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  WorkerPool pool({.threads = 1});
  EXPECT_DEATH(pool.ParallelFor(1, [&](int64_t) { pool.ParallelFor(1, [](int64_t) {}); }),
               "inside a tile");
}

}  // namespace
}  // namespace alchemist
