#include "kernels/page_pool.h"

#include <algorithm>

#include "base/logging.h"

namespace alchemist {

PagePool::PagePool(int64_t first_page, int64_t pages)
    : first_page_(first_page), lent_(pages, false), pages_free_(pages) {
  CHECK_GE(first_page, 0);
}

std::optional<PageRun> PagePool::Allocate(int64_t count) {
  CHECK_GT(count, 0);
  if (count > pages_free_) return std::nullopt;
  while (lent_[search_from_]) ++search_from_;  // Some page is free.
  int64_t free_before = 0;
  for (int64_t page = search_from_; page < pages_total(); ++page) {
    free_before = lent_[page] ? 0 : free_before + 1;
    if (free_before < count) continue;
    const int64_t first = page + 1 - count;
    std::fill_n(lent_.begin() + first, count, true);
    pages_free_ -= count;
    return PageRun{first_page_ + first, count};
  }
  return std::nullopt;
}

void PagePool::Free(PageRun run) {
  const int64_t first = run.first - first_page_;
  CHECK(run.count > 0 && run.count <= pages_total() && first >= 0 &&
        first <= pages_total() - run.count)
      << "pages " << run.first << "+" << run.count << " are not of this pool";
  for (int64_t page = first; page < first + run.count; ++page) {
    CHECK(lent_[page]) << "page " << first_page_ + page << " is free already";
    lent_[page] = false;
  }
  pages_free_ += run.count;
  search_from_ = std::min(search_from_, first);
}

bool PagePool::IsLent(int64_t page) const {
  CHECK(page >= first_page_ && page - first_page_ < pages_total()) << page;
  return lent_[page - first_page_];
}

void PagePool::CheckInvariants() const {
  CHECK_EQ(pages_free_, std::count(lent_.begin(), lent_.end(), false));
  CHECK(search_from_ >= 0 && search_from_ <= pages_total()) << search_from_;
  CHECK(std::all_of(lent_.begin(), lent_.begin() + search_from_, [](bool lent) { return lent; }))
      << "a free page before " << search_from_;
}

}  // namespace alchemist
