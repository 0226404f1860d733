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
