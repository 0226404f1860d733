// Choosing the next token from one row of logits. Pure functions; any thread.
#ifndef ALCHEMIST_KERNELS_SAMPLING_H_
#define ALCHEMIST_KERNELS_SAMPLING_H_

#include <cstdint>

#include "absl/types/span.h"

namespace alchemist {

struct SamplingParams {
  double temperature = 1.0;  // >= 0; 0: greedy, the smallest id among equals.
  double top_p = 1.0;        // Keeps the fewest tokens whose probabilities sum to at least this.
  int64_t top_k = 0;         // >= 0; keeps the k most probable; 0: all.
  double min_p = 0;          // Keeps tokens at least this probable, as a part of the most probable.
};

// `uniform` in [0, 1) decides; the caller draws it from (seed, position), so that a resumed request
// draws what it would have drawn. Truncation: min_p first, then top_k, then top_p over what is
// left, at least one token; of equally probable tokens the smaller ids are kept. A NaN counts as
// -inf. REQUIRES: there are logits.
int32_t SampleToken(absl::Span<const float> logits, const SamplingParams& params, double uniform);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SAMPLING_H_
