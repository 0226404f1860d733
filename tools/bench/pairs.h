// MeasurePairs: the order of a measurement by the protocol (tools/bench/ratio.h): A B A B ... A.
// One thread.
#ifndef ALCHEMIST_TOOLS_BENCH_PAIRS_H_
#define ALCHEMIST_TOOLS_BENCH_PAIRS_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"

namespace alchemist {

// What the two sides measured; by default seconds or a rate, else what the ratios are made of.
template <typename Sample = double>
struct PairSamples {
  std::vector<Sample> a;  // One more than b.
  std::vector<Sample> b;
};

// Both sides run once before, unmeasured: they make kernels and touch memory. `on_pair` is told how
// many pairs are done. The first error of a side or of `on_pair` ends it all.
template <typename Sample = double>
absl::StatusOr<PairSamples<Sample>> MeasurePairs(
    int64_t pairs, absl::FunctionRef<absl::StatusOr<std::type_identity_t<Sample>>()> a,
    absl::FunctionRef<absl::StatusOr<std::type_identity_t<Sample>>()> b,
    absl::FunctionRef<absl::Status(int64_t)> on_pair) {
  RETURN_IF_ERROR(a().status());
  RETURN_IF_ERROR(b().status());
  PairSamples<Sample> samples;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    RETURN_IF_ERROR(on_pair(pair));
    ASSIGN_OR_RETURN(samples.a.emplace_back(), a());
    ASSIGN_OR_RETURN(samples.b.emplace_back(), b());
  }
  ASSIGN_OR_RETURN(samples.a.emplace_back(), a());
  RETURN_IF_ERROR(on_pair(pairs));
  return samples;
}

// b / a of each pair.
inline std::vector<double> Ratios(const PairSamples<double>& samples) {
  std::vector<double> ratios;
  for (size_t i = 0; i < samples.b.size(); ++i) ratios.push_back(samples.b[i] / samples.a[i]);
  return ratios;
}

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_PAIRS_H_
