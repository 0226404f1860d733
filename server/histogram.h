// Histogram: how many observations fell into each bucket, and their sum, since the start. A value;
// its owner's thread.
#ifndef ALCHEMIST_SERVER_HISTOGRAM_H_
#define ALCHEMIST_SERVER_HISTOGRAM_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/logging.h"

namespace alchemist {

class Histogram {
 public:
  // REQUIRES: `bounds` ascend.
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
    CHECK(std::is_sorted(bounds_.begin(), bounds_.end(), std::less_equal<double>()));
  }

  void Observe(double value) {
    ++counts_[std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin()];
    sum_ += value;
  }

  const std::vector<double>& bounds() const { return bounds_; }
  // counts()[i] are those above bounds()[i - 1] and at most bounds()[i]; the last, above all.
  const std::vector<int64_t>& counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;
  double sum_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_HISTOGRAM_H_
