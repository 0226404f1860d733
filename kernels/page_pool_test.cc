#include "kernels/page_pool.h"

#include <cstdint>
#include <ctime>
#include <optional>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(PagePoolTest, AllocateTakesAllOrNothing) {
  PagePool pool(/*first_page=*/0, /*pages=*/4);
  ASSERT_TRUE(pool.Allocate(3).has_value());
  EXPECT_FALSE(pool.Allocate(2).has_value());
  EXPECT_EQ(pool.pages_free(), 1);
  ASSERT_TRUE(pool.Allocate(1).has_value());
  EXPECT_FALSE(pool.Allocate(1).has_value()) << "a full pool";
}

TEST(PagePoolTest, PagesAreCountedFromTheStartOfTheArena) {
  PagePool pool(/*first_page=*/100, /*pages=*/8);
  const std::optional<PageRun> run = pool.Allocate(3);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->first, 100);
  EXPECT_TRUE(pool.IsLent(102));
  EXPECT_FALSE(pool.IsLent(103));
}

TEST(PagePoolTest, ARunMayBeGivenBackInPieces) {
  PagePool pool(0, 6);
  ASSERT_TRUE(pool.Allocate(6).has_value());
  pool.Free({.first = 2, .count = 2});
  EXPECT_FALSE(pool.Allocate(3).has_value());
  pool.Free({.first = 4, .count = 1});
  const std::optional<PageRun> run = pool.Allocate(3);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->first, 2) << "adjacent pieces are one run again";
}

TEST(PagePoolTest, AnEmptyPoolHasNoPages) {
  PagePool pool(5, 0);
  EXPECT_FALSE(pool.Allocate(1).has_value());
  pool.CheckInvariants();
}

// Best fit, found by looking at every page.
std::optional<int64_t> BestFit(const std::vector<bool>& lent, int64_t count) {
  const auto pages = static_cast<int64_t>(lent.size());
  std::optional<int64_t> best;
  int64_t best_size = 0;
  for (int64_t first = 0; first < pages; ++first) {
    int64_t size = 0;
    while (first + size < pages && !lent[first + size]) ++size;
    if (size >= count && (!best.has_value() || size < best_size)) {
      best = first;
      best_size = size;
    }
    first += size;
  }
  return best;
}

// A plain list of who holds what, against the pool, over random allocations and random pieces given
// back.
TEST(PagePoolTest, AgreesWithAPlainModelOverRandomSteps) {
  constexpr int64_t kFirst = 7;
  constexpr int64_t kPages = 96;
  constexpr int kSteps = 100'000;
  Random random(2024);
  PagePool pool(kFirst, kPages);
  std::vector<bool> lent(kPages, false);
  std::vector<PageRun> held;
  int64_t refused = 0;
  for (int step = 0; step < kSteps; ++step) {
    if (held.empty() || random.Below(2) == 0) {
      const int64_t count = 1 + random.Below(12);
      const std::optional<int64_t> wanted = BestFit(lent, count);
      const std::optional<PageRun> run = pool.Allocate(count);
      ASSERT_EQ(run.has_value(), wanted.has_value()) << "step " << step;
      if (!run.has_value()) ++refused;
      if (run.has_value()) {
        ASSERT_EQ(run->first, kFirst + *wanted) << "step " << step;
        ASSERT_EQ(run->count, count);
        for (int64_t i = 0; i < count; ++i) lent[*wanted + i] = true;
        held.push_back(*run);
      }
    } else {
      PageRun& run = held[random.Below(held.size())];
      const PageRun piece = {run.first, 1 + random.Below(run.count)};
      pool.Free(piece);
      for (int64_t i = 0; i < piece.count; ++i) lent[piece.first - kFirst + i] = false;
      run = {run.first + piece.count, run.count - piece.count};
      if (run.count == 0) {
        run = held.back();
        held.pop_back();
      }
    }
    pool.CheckInvariants();
  }
  EXPECT_GT(refused, kSteps / 100) << "the pool was never full";
  for (const PageRun& run : held) pool.Free(run);
  EXPECT_EQ(pool.pages_free(), kPages);
}

// A pool of which every second page is lent has no two adjacent ones, and says so at once.
TEST(PagePoolTest, AFragmentedPoolIsNotSearched) {
  constexpr int64_t kPages = 1 << 18;
  constexpr int kAttempts = 50'000;  // Reading every page each time would take a minute.
  PagePool pool(0, kPages);
  ASSERT_TRUE(pool.Allocate(kPages).has_value());
  for (int64_t page = 0; page < kPages; page += 2) pool.Free({page, 1});
  const std::clock_t begun = std::clock();
  for (int i = 0; i < kAttempts; ++i) ASSERT_FALSE(pool.Allocate(2).has_value());
  EXPECT_LT((std::clock() - begun) / CLOCKS_PER_SEC, 2) << "seconds of processor time";
}

TEST(PagePoolDeathTest, GivingBackWhatIsNotLentIsACheckFailure) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  PagePool pool(10, 4);
  ASSERT_TRUE(pool.Allocate(1).has_value());
  EXPECT_DEATH(pool.Free({.first = 10, .count = 2}), "page 11 is free already");
  EXPECT_DEATH(pool.Free({.first = 9, .count = 1}), "not of this pool");
  EXPECT_DEATH(pool.Free({.first = 13, .count = INT64_MAX}), "not of this pool");
}

}  // namespace
}  // namespace alchemist
