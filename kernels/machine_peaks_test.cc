#include "kernels/machine_peaks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace alchemist {
namespace {

constexpr int kThreads = 2;
constexpr int64_t kCacheBytesMax = 64 << 20;  // Of a core, on the machines we know.

TEST(WritePeakTest, EachRepetitionWritesAllOfMemoryBeyondTheCaches) {
  WorkerPool pool(WorkerPool::Options{.threads = kThreads});
  WritePeak peak(&pool);
  EXPECT_GT(peak.bytes(), kThreads * kCacheBytesMax);
  EXPECT_EQ(peak.bytes(), static_cast<int64_t>(peak.words().size() * sizeof(uint64_t)));
  peak.BytesPerSecond(1);
  peak.BytesPerSecond(2);
  const auto& words = peak.words();
  EXPECT_EQ(std::count(words.begin(), words.end(), 3), static_cast<int64_t>(words.size()));
}

TEST(WritePeakTest, TheRateIsOfAllBytesThatWereWritten) {
  constexpr int64_t kRepetitions = 3;
  WorkerPool pool(WorkerPool::Options{.threads = kThreads});
  WritePeak peak(&pool);
  const auto begin = std::chrono::steady_clock::now();
  const double rate = peak.BytesPerSecond(kRepetitions);
  const double seconds_around =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double seconds = static_cast<double>(kRepetitions * peak.bytes()) / rate;
  EXPECT_GT(seconds, 0);
  EXPECT_LE(seconds, seconds_around);
}

}  // namespace
}  // namespace alchemist
