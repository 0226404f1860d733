// Summaries of all tensors of a record, read where they lie. Pure; any thread, as long as the
// record is pinned.
#ifndef ALCHEMIST_SERVER_RECORD_SUMMARY_H_
#define ALCHEMIST_SERVER_RECORD_SUMMARY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "activation_store/record.h"
#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/activation_layout.h"
#include "server/tensor_summary.h"

namespace alchemist {

// One tensor of one layer: [rows, width], in as many pieces as the record has.
struct RecordedTensor {
  int64_t layer = 0;
  std::string name;  // As the layout says, or "k" or "v".
  int64_t rows = 0;
  int64_t width = 0;
  DType dtype = DType::kF32;
  TensorSummary summary;
};

// By layer: the layout's tensors, then K and V. `stop` is asked before each tensor; Cancelled when
// it says so. REQUIRES: `record`, whose offsets count from `arena`, is of the layout.
absl::StatusOr<std::vector<RecordedTensor>> SummarizeRecord(const RecordDescriptor& record,
                                                            const ActivationLayout& layout,
                                                            const std::byte* arena,
                                                            const std::function<bool()>& stop);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_RECORD_SUMMARY_H_
