// How many of serving's K/V pages the running requests will need, so that no more are admitted than
// fit. A page here is one in every layer. Pure, but for LengthForecast's memory of past answers,
// which the serving loop owns.
#ifndef ALCHEMIST_SERVER_KV_FORECAST_H_
#define ALCHEMIST_SERVER_KV_FORECAST_H_

#include <cstdint>
#include <deque>
#include <vector>

namespace alchemist {

// How long answers turn out to be.
class LengthForecast {
 public:
  static constexpr int64_t kLengthsMax = 256;  // The last ones that ended.
  static constexpr int64_t kLengthsMin = 16;   // With fewer nothing is forecast.
  static constexpr double kQuantile = 0.9;     // One of ten answers is longer than forecast.

  void Add(int64_t tokens);  // An answer ended after so many.
  // The tokens in all of an answer that has `tokens` so far and may have `tokens_max`: the quantile
  // of those that got further than it, or `tokens_max` where too little is known.
  int64_t Forecast(int64_t tokens, int64_t tokens_max) const;

 private:
  std::deque<int64_t> lengths_;
};

// A request's way from now to its end, one token a step.
struct KvGrowth {
  int64_t tokens = 0;          // Positions that have K/V, or will have before the first step.
  int64_t tokens_more = 0;     // It is forecast to end after these.
  int64_t pages_recorded = 0;  // Whole pages at its beginning that a record holds, and not serving.
};

// The most pages that the requests hold at once, if each grows as forecast and then ends.
int64_t PeakKvPages(const std::vector<KvGrowth>& requests);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_KV_FORECAST_H_
