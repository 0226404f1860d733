#include "kernels/page_pool.h"

#include <iterator>

#include "base/logging.h"

namespace alchemist {

PagePool::PagePool(int64_t first_page, int64_t pages)
    : first_page_(first_page), pages_total_(pages) {
  CHECK_GE(first_page, 0);
  CHECK_GE(pages, 0);
  if (pages > 0) Insert(first_page, pages);
}

void PagePool::Insert(int64_t first, int64_t count) {
  free_[first] = count;
  by_count_.insert({count, first});
  pages_free_ += count;
}

void PagePool::Erase(std::map<int64_t, int64_t>::iterator run) {
  by_count_.erase({run->second, run->first});
  pages_free_ -= run->second;
  free_.erase(run);
}

std::optional<PageRun> PagePool::Allocate(int64_t count) {
  CHECK_GT(count, 0);
  const auto fit = by_count_.lower_bound({count, 0});
  if (fit == by_count_.end()) return std::nullopt;
  const auto [size, first] = *fit;
  Erase(free_.find(first));
  if (size > count) Insert(first + count, size - count);
  return PageRun{first, count};
}

void PagePool::Free(PageRun run) {
  CHECK(run.count > 0 && run.count <= pages_total_ && run.first >= first_page_ &&
        run.first - first_page_ <= pages_total_ - run.count)
      << "pages " << run.first << "+" << run.count << " are not of this pool";
  int64_t first = run.first;
  int64_t count = run.count;
  const auto after = free_.lower_bound(first);
  if (after != free_.end()) {
    CHECK(after->first >= first + count) << "page " << after->first << " is free already";
  }
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    const int64_t end = before->first + before->second;
    CHECK(end <= first) << "page " << first << " is free already";
    if (end == first) {
      first = before->first;
      count += before->second;
      Erase(before);
    }
  }
  if (after != free_.end() && after->first == run.first + run.count) {
    count += after->second;
    Erase(after);
  }
  Insert(first, count);
}

bool PagePool::IsLent(int64_t page) const {
  CHECK(page >= first_page_ && page - first_page_ < pages_total_) << page;
  const auto after = free_.upper_bound(page);
  if (after == free_.begin()) return true;
  const auto before = std::prev(after);
  return page >= before->first + before->second;
}

void PagePool::CheckInvariants() const {
  int64_t pages = 0;
  int64_t end = first_page_ - 1;  // Of the run before; the first run may begin at first_page_.
  for (const auto& [first, count] : free_) {
    CHECK(count > 0 && first > end) << "free run of " << count << " pages at " << first;
    CHECK(by_count_.contains({count, first})) << "free run at " << first;
    end = first + count;
    pages += count;
  }
  CHECK_LE(end, first_page_ + pages_total_);
  CHECK_EQ(pages, pages_free_);
  CHECK_EQ(by_count_.size(), free_.size());
}

}  // namespace alchemist
