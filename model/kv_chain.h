// The K/V of a chain: a sequence's rows can lie in several records, each going on where the one
// before it was left.
#ifndef ALCHEMIST_MODEL_KV_CHAIN_H_
#define ALCHEMIST_MODEL_KV_CHAIN_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention.h"

namespace alchemist {

// Appends the rows of `runs` at positions before `end` to `chain`. `runs` go on where `chain` ends.
void AppendKvBefore(absl::Span<const KvRun> runs, int64_t end, std::vector<KvRun>& chain);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_KV_CHAIN_H_
