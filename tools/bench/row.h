// BenchRow: one line of a benchmark's table and JSON: what was measured, what is asked of it, and
// with what it was measured. Plain value.
#ifndef ALCHEMIST_TOOLS_BENCH_ROW_H_
#define ALCHEMIST_TOOLS_BENCH_ROW_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "tools/bench/ratio.h"

namespace alchemist {

using BenchParams = nlohmann::ordered_json;  // An object: workload, rates, counts.

struct BenchRow {
  std::string name;  // DESIGN.md section 12 fixes it.
  double value = 0;
  std::string unit;
  Interval spread;
  std::optional<Interval> a_over_a;  // None: the value has no noise.
  Bound bound;
  Verdict verdict = Verdict::kNoTarget;
  BenchParams params;
};

// A ratio that was measured in pairs.
BenchRow RatioRow(const std::string& name, const RatioEstimate& estimate, const Bound& bound,
                  BenchParams params);
// A value that was measured several times, each time as it is and not as a ratio: their median. The
// bound is met or missed when both ends of its spread say so, else it is noisy, as with fewer than
// kPairsMin values.
BenchRow AbsoluteRow(const std::string& name, absl::Span<const double> values,
                     const std::string& unit, const Bound& bound, BenchParams params);
// A value without noise.
BenchRow ExactRow(const std::string& name, double value, const std::string& unit,
                  const Bound& bound, BenchParams params);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_ROW_H_
