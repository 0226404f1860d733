#include "model/kv_chain.h"

#include <algorithm>

#include "base/logging.h"

namespace alchemist {

void AppendKvBefore(absl::Span<const KvRun> runs, int64_t end, std::vector<KvRun>& chain) {
  for (const KvRun& run : runs) {
    const int64_t rows = std::min(run.k.rows, end - run.first_position);
    if (rows <= 0) return;
    const int64_t chain_end = chain.empty() ? 0 : chain.back().first_position + chain.back().k.rows;
    CHECK_EQ(run.first_position, chain_end) << "the runs of a chain have no gaps";
    chain.push_back({run.k.Rows(0, rows), run.v.Rows(0, rows), run.first_position});
  }
}

}  // namespace alchemist
