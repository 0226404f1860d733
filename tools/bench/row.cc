#include "tools/bench/row.h"

#include <utility>

namespace alchemist {

BenchRow RatioRow(const std::string& name, const RatioEstimate& estimate, const Bound& bound,
                  BenchParams params) {
  params["pairs"] = estimate.pairs;
  return {.name = name,
          .value = estimate.value,
          .unit = "ratio",
          .spread = estimate.spread,
          .a_over_a = estimate.a_over_a,
          .bound = bound,
          .verdict = Judge(estimate, bound),
          .params = std::move(params)};
}

BenchRow AbsoluteRow(const std::string& name, absl::Span<const double> values,
                     const std::string& unit, const Bound& bound, BenchParams params) {
  params["measurements"] = values.size();
  const Interval spread = MedianInterval(values);
  const bool low_holds = bound.Holds(spread.low), high_holds = bound.Holds(spread.high);
  Verdict verdict = low_holds ? Verdict::kMet : Verdict::kMissed;
  if (low_holds != high_holds || static_cast<int64_t>(values.size()) < kPairsMin) {
    verdict = Verdict::kNoisy;
  }
  return {.name = name,
          .value = Median(values),
          .unit = unit,
          .spread = spread,
          .a_over_a = std::nullopt,
          .bound = bound,
          .verdict = verdict,
          .params = std::move(params)};
}

BenchRow ExactRow(const std::string& name, double value, const std::string& unit,
                  const Bound& bound, BenchParams params) {
  return {.name = name,
          .value = value,
          .unit = unit,
          .spread = {value, value},
          .a_over_a = std::nullopt,
          .bound = bound,
          .verdict = JudgeExact(value, bound),
          .params = std::move(params)};
}

}  // namespace alchemist
