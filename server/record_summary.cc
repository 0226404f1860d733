#include "server/record_summary.h"

#include <utility>

#include "base/logging.h"

namespace alchemist {
namespace {

void Add(const std::byte* data, int64_t rows, RecordedTensor& tensor) {
  AddRows({data, rows, tensor.width, tensor.dtype}, tensor.summary);
  tensor.rows += rows;
}

RecordedTensor SummarizeTensor(const RecordDescriptor& record, int64_t layer,
                               const TensorSpec& spec, const std::byte* arena) {
  RecordedTensor tensor = {layer, ActivationTensorName(spec.tensor), 0, spec.width, spec.dtype, {}};
  for (const RunDescriptor& run : record.runs) {
    for (const TensorSlot& slot : run.layers[layer]) {
      if (slot.tensor != static_cast<uint32_t>(spec.tensor)) continue;
      CHECK_EQ(static_cast<int64_t>(slot.bytes),
               slot.rows * spec.width * BytesPerElement(spec.dtype))
          << "record " << record.record_id << " layer " << layer << " " << tensor.name;
      Add(arena + slot.offset, slot.rows, tensor);
    }
  }
  return tensor;
}

// A page holds the rows of K, then those of V, used or not.
RecordedTensor SummarizeKv(const RecordDescriptor& record, int64_t layer, bool is_v,
                           const ActivationLayout& layout, const std::byte* arena) {
  RecordedTensor tensor = {layer, is_v ? "v" : "k", 0, layout.kv_width(), layout.dtype(), {}};
  const int64_t half_bytes = kKvPageTokens * tensor.width * BytesPerElement(tensor.dtype);
  for (const KvPageSlot& slot : record.kv_pages) {
    if (slot.layer != layer) continue;
    CHECK_EQ(static_cast<int64_t>(slot.bytes), 2 * half_bytes) << "record " << record.record_id;
    Add(arena + slot.offset + (is_v ? half_bytes : 0), slot.rows, tensor);
  }
  return tensor;
}

}  // namespace

absl::StatusOr<std::vector<RecordedTensor>> SummarizeRecord(const RecordDescriptor& record,
                                                            const ActivationLayout& layout,
                                                            const std::byte* arena,
                                                            const std::function<bool()>& stop) {
  std::vector<RecordedTensor> tensors;
  const absl::Status stopped = absl::CancelledError("nobody waits for the record's summary");
  for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      if (stop()) return stopped;
      tensors.push_back(SummarizeTensor(record, layer, spec, arena));
    }
    if (layer == layout.layers()) break;
    for (const bool is_v : {false, true}) {
      if (stop()) return stopped;
      tensors.push_back(SummarizeKv(record, layer, is_v, layout, arena));
    }
  }
  return tensors;
}

}  // namespace alchemist
