// PagePool lends runs of pages of one part of an arena to K/V caches and records. Owned by one
// thread (the serving loop; in the trainer its own loop), which makes all calls. Pages never go
// back to the system: giving memory back is a change of owner here.
#ifndef ALCHEMIST_KERNELS_PAGE_POOL_H_
#define ALCHEMIST_KERNELS_PAGE_POOL_H_

#include <cstdint>
#include <optional>
#include <vector>

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

  // First fit: `count` (> 0) adjacent pages, or nullopt and no change when there is no such run.
  std::optional<PageRun> Allocate(int64_t count);
  // REQUIRES: every page of `run` is lent. Pages may be given back in other pieces than they came.
  void Free(PageRun run);

  int64_t pages_free() const { return pages_free_; }
  int64_t pages_total() const { return static_cast<int64_t>(lent_.size()); }
  int64_t first_page() const { return first_page_; }
  bool IsLent(int64_t page) const;
  void CheckInvariants() const;

 private:
  const int64_t first_page_;
  std::vector<bool> lent_;
  int64_t pages_free_;
  int64_t search_from_ = 0;  // No page before it is free.
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_PAGE_POOL_H_
