// What pairs of measurements say about a ratio, and whether a bound on it is met: the protocol of
// DESIGN.md section 12, as pure functions. Any thread.
//
// A measurement is A B A B ... A: pairs of A and B, closed by one more A. The value of a ratio is
// the median over its pairs; A against A, each A over the one before it, says how much of it is the
// machine's own unrest. Spreads are of the median, so that more pairs make them narrower.
#ifndef ALCHEMIST_TOOLS_BENCH_RATIO_H_
#define ALCHEMIST_TOOLS_BENCH_RATIO_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace alchemist {

inline constexpr int64_t kPairsMin = 9;  // Fewer prove nothing.

struct Interval {
  double low = 0;
  double high = 0;
  double width() const { return high - low; }
};

// The middle value, or the mean of the two middle ones. REQUIRES: there is one.
double Median(absl::Span<const double> values);

// Two of `values` between which the median of whatever they were drawn from lies with a probability
// of at least 95%, no matter how they are distributed: the second and the eighth of nine. All of
// them when there are fewer than six. REQUIRES: there is one.
Interval MedianInterval(absl::Span<const double> values);

struct Bound {
  enum class Kind { kNone, kAtLeast, kAtMost };
  Kind kind = Kind::kNone;
  double value = 0;

  static Bound AtLeast(double value) { return {Kind::kAtLeast, value}; }
  static Bound AtMost(double value) { return {Kind::kAtMost, value}; }
  bool Holds(double measured) const;
  // How far the bound is from 1, which a ratio has when nothing is lost: what noise must be below.
  double margin() const;
};

// kNoTarget: nothing is asked of the row. kNoisy counts as not met: A against A differs by as much
// as the bound allows, or there were too few pairs.
enum class Verdict { kNoTarget, kMet, kMissed, kNoisy };
const char* VerdictName(Verdict verdict);  // "-", "met", "missed", "noisy"

struct RatioEstimate {
  double value = 0;   // Median over the pairs.
  Interval spread;    // Of this median.
  Interval a_over_a;  // Of the median of A against A.
  int64_t pairs = 0;
};

// `ratios` has one entry per pair, `a` one more: what A measured, in order. REQUIRES: at least one
// pair; all of `a` above 0.
RatioEstimate EstimateRatio(absl::Span<const double> ratios, absl::Span<const double> a);

Verdict Judge(const RatioEstimate& estimate, const Bound& bound);
// Of a value that has no noise: a count, or whether bits are equal.
Verdict JudgeExact(double value, const Bound& bound);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_RATIO_H_
