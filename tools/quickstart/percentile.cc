#include "tools/quickstart/percentile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "base/logging.h"

namespace alchemist {

double Percentile(std::vector<double> values, double share) {
  CHECK(share > 0 && share <= 1) << share;
  if (values.empty()) return std::numeric_limits<double>::infinity();
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto it = values.begin() + static_cast<ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), it, values.end());
  return *it;
}

}  // namespace alchemist
