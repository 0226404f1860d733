// Percentiles of a run's measurements. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_PERCENTILE_H_
#define ALCHEMIST_TOOLS_QUICKSTART_PERCENTILE_H_

#include <vector>

namespace alchemist {

// The smallest of `values` that at least `share` of them do not exceed (the nearest rank): always
// one that was measured. Infinity when there is none. REQUIRES: 0 < share <= 1.
double Percentile(std::vector<double> values, double share);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_PERCENTILE_H_
