#include "server/kv_forecast.h"

#include <algorithm>

#include "activation_store/record.h"

namespace alchemist {

void LengthForecast::Add(int64_t tokens) {
  if (static_cast<int64_t>(lengths_.size()) == kLengthsMax) lengths_.pop_front();
  lengths_.push_back(tokens);
}

int64_t LengthForecast::Forecast(int64_t tokens, int64_t tokens_max) const {
  std::vector<int64_t> longer;
  for (const int64_t length : lengths_) {
    if (length > tokens) longer.push_back(length);
  }
  const int64_t count = static_cast<int64_t>(longer.size());
  if (count < kLengthsMin) return tokens_max;
  const auto at = longer.begin() + static_cast<int64_t>(kQuantile * static_cast<double>(count));
  std::nth_element(longer.begin(), at, longer.end());
  return std::min(*at, tokens_max);
}

// The pages grow until somebody ends, so the peak is at one of the ends.
int64_t PeakKvPages(const std::vector<KvGrowth>& requests) {
  int64_t peak = 0;
  for (const KvGrowth& ends : requests) {
    int64_t pages = 0;
    for (const KvGrowth& each : requests) {
      if (each.tokens_more < ends.tokens_more) continue;
      pages += KvPagesFor(each.tokens + ends.tokens_more) - each.pages_recorded;
    }
    peak = std::max(peak, pages);
  }
  return peak;
}

}  // namespace alchemist
