// PagePool lends runs of pages of one part of an arena to K/V caches and records. Owned by one
// thread (the serving loop; in the trainer its own loop), which makes all calls. Pages never go
// back to the system: giving memory back is a change of owner here.
#ifndef ALCHEMIST_KERNELS_PAGE_POOL_H_
#define ALCHEMIST_KERNELS_PAGE_POOL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace alchemist {

// `count` adjacent pages from `first`, counted from the start of the arena.
struct PageRun {
  int64_t first = 0;
  int64_t count = 0;
};

class PagePool {
 public:
  // Lends the pages [first_page, first_page + pages) of an arena; they are all free at first.
  PagePool(int64_t first_page, int64_t pages);

  // `count` (> 0) adjacent pages of the smallest free run that has them, the first one among
  // equals; or nullopt and no change when there is none. Its time, as that of Free, grows with the
  // logarithm of how many free runs there are, and not with the arena.
  std::optional<PageRun> Allocate(int64_t count);
  // REQUIRES: every page of `run` is lent. Pages may be given back in other pieces than they came.
  void Free(PageRun run);

  int64_t pages_free() const { return pages_free_; }
  int64_t pages_total() const { return pages_total_; }
  int64_t first_page() const { return first_page_; }
  bool IsLent(int64_t page) const;
  void CheckInvariants() const;

 private:
  void Insert(int64_t first, int64_t count);
  void Erase(std::map<int64_t, int64_t>::iterator run);

  const int64_t first_page_;
  const int64_t pages_total_;
  int64_t pages_free_ = 0;
  std::map<int64_t, int64_t> free_;  // Count by first page; no two runs are adjacent.
  std::set<std::pair<int64_t, int64_t>> by_count_;  // The same as (count, first page).
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_PAGE_POOL_H_
