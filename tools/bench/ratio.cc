#include "tools/bench/ratio.h"

#include <algorithm>
#include <cmath>

#include "base/logging.h"

namespace alchemist {
namespace {

constexpr double kTailMax = 0.025;  // On each side.

std::vector<double> Sorted(absl::Span<const double> values) {
  CHECK(!values.empty());
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// How many values may be cut off at each end: the most for which so few of n tosses of a coin come
// up heads with a probability of at most kTailMax.
size_t CutAtEachEnd(size_t n) {
  double probability = std::exp2(-static_cast<double>(n));  // Of exactly `cut` heads.
  double tail = probability;
  size_t cut = 0;
  while (tail <= kTailMax) {
    ++cut;
    probability *= static_cast<double>(n - cut + 1) / static_cast<double>(cut);
    tail += probability;
  }
  return cut;
}

}  // namespace

double Median(absl::Span<const double> values) {
  const std::vector<double> sorted = Sorted(values);
  const size_t middle = sorted.size() / 2;
  if (sorted.size() % 2 == 1) return sorted[middle];
  return (sorted[middle - 1] + sorted[middle]) / 2;
}

Interval MedianInterval(absl::Span<const double> values) {
  const std::vector<double> sorted = Sorted(values);
  // `cut` heads at most: the value with that many below it is the end of the interval.
  const size_t cut = CutAtEachEnd(sorted.size());
  const size_t first = cut == 0 ? 0 : cut - 1;
  return {sorted[first], sorted[sorted.size() - 1 - first]};
}

bool Bound::Holds(double measured) const {
  switch (kind) {
    case Kind::kNone:
      return true;
    case Kind::kAtLeast:
      return measured >= value;
    case Kind::kAtMost:
      return measured <= value;
  }
  return false;
}

double Bound::margin() const { return std::abs(value - 1); }

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNoTarget:
      return "-";
    case Verdict::kMet:
      return "met";
    case Verdict::kMissed:
      return "missed";
    case Verdict::kNoisy:
      return "noisy";
  }
  return "";
}

RatioEstimate EstimateRatio(absl::Span<const double> ratios, absl::Span<const double> a) {
  CHECK_EQ(a.size(), ratios.size() + 1);
  std::vector<double> a_over_a;
  for (size_t i = 1; i < a.size(); ++i) {
    CHECK_GT(a[i - 1], 0);
    a_over_a.push_back(a[i] / a[i - 1]);
  }
  return {Median(ratios), MedianInterval(ratios), MedianInterval(a_over_a),
          static_cast<int64_t>(ratios.size())};
}

Verdict Judge(const RatioEstimate& estimate, const Bound& bound) {
  if (bound.kind == Bound::Kind::kNone) return Verdict::kNoTarget;
  const bool is_quiet = estimate.pairs >= kPairsMin && estimate.a_over_a.width() < bound.margin();
  if (!is_quiet) return Verdict::kNoisy;
  return bound.Holds(estimate.value) ? Verdict::kMet : Verdict::kMissed;
}

Verdict JudgeExact(double value, const Bound& bound) {
  if (bound.kind == Bound::Kind::kNone) return Verdict::kNoTarget;
  return bound.Holds(value) ? Verdict::kMet : Verdict::kMissed;
}

}  // namespace alchemist
