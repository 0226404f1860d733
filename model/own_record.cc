#include "model/own_record.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "model/tensor_plan.h"

namespace alchemist {

OwnRecord::OwnRecord(const ActivationLayout& layout, std::vector<Part> parts)
    : layout_(layout), parts_(std::move(parts)) {
  for (const Part& part : parts_) {
    CHECK_GT(part.rows, 0);
    first_rows_.push_back(rows_);
    for (const int32_t row : part.head_rows) {
      CHECK(row >= 0 && row < part.rows) << row << " of " << part.rows;
      head_rows_.push_back(static_cast<int32_t>(rows_ + row));
    }
    rows_ += part.rows;
  }
  CHECK(std::is_sorted(head_rows_.begin(), head_rows_.end(), std::less_equal<int32_t>()));
}

absl::StatusOr<std::unique_ptr<OwnRecord>> OwnRecord::Create(const ActivationLayout& layout,
                                                             std::vector<Part> parts,
                                                             Device& device) {
  std::unique_ptr<OwnRecord> record(new OwnRecord(layout, std::move(parts)));
  const int64_t head_rows = static_cast<int64_t>(record->head_rows_.size());
  record->activations_.resize(layout.layers() + 1);
  record->kv_.resize(layout.layers());
  TensorPlan plan;
  for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      plan.Add(&Of(record->activations_[layer], spec.tensor), spec.dtype,
               spec.head_rows_only ? head_rows : record->rows_, spec.width);
    }
  }
  for (KvTensors& kv : record->kv_) {
    plan.Add(&kv.k, layout.dtype(), record->rows_, layout.kv_width());
    plan.Add(&kv.v, layout.dtype(), record->rows_, layout.kv_width());
  }
  ASSIGN_OR_RETURN(record->memory_, plan.Allocate(device));
  return record;
}

int64_t OwnRecord::HeadRowsBefore(int64_t row) const {
  return std::lower_bound(head_rows_.begin(), head_rows_.end(), row) - head_rows_.begin();
}

LayerActivations OwnRecord::Slice(int64_t layer, int64_t first_row, int64_t rows) const {
  const int64_t first_head = HeadRowsBefore(first_row);
  const int64_t heads = HeadRowsBefore(first_row + rows) - first_head;
  LayerActivations slice;
  for (const TensorSpec& spec : layout_.layer(layer)) {
    const TensorView& whole = Of(activations_[layer], spec.tensor);
    if (whole.data == nullptr) continue;  // No head rows.
    Of(slice, spec.tensor) =
        spec.head_rows_only ? whole.Rows(first_head, heads) : whole.Rows(first_row, rows);
  }
  return slice;
}

std::vector<LayerActivations> OwnRecord::Activations(int64_t first_row, int64_t rows) {
  std::vector<LayerActivations> slices;
  for (int64_t layer = 0; layer <= layout_.layers(); ++layer) {
    slices.push_back(Slice(layer, first_row, rows));
  }
  return slices;
}

std::vector<int32_t> OwnRecord::HeadRows(int64_t first_row, int64_t rows) const {
  std::vector<int32_t> heads(head_rows_.begin() + HeadRowsBefore(first_row),
                             head_rows_.begin() + HeadRowsBefore(first_row + rows));
  for (int32_t& row : heads) row -= static_cast<int32_t>(first_row);
  return heads;
}

std::vector<std::vector<KvRows>> OwnRecord::KvWrite(int part, int64_t first_row, int64_t rows) {
  CHECK(first_row >= 0 && first_row + rows <= parts_[part].rows) << first_row << "+" << rows;
  std::vector<std::vector<KvRows>> layers;
  for (const KvTensors& kv : kv_) {
    const int64_t row = first_rows_[part] + first_row;
    layers.push_back(
        {{kv.k.Rows(row, rows), kv.v.Rows(row, rows), parts_[part].first_position + first_row}});
  }
  return layers;
}

std::vector<std::vector<KvRun>> OwnRecord::Kv(int part) const {
  const Part& p = parts_[part];
  std::vector<std::vector<KvRun>> layers;
  for (const KvTensors& kv : kv_) {
    layers.push_back({{kv.k.Rows(first_rows_[part], p.rows), kv.v.Rows(first_rows_[part], p.rows),
                       p.first_position}});
  }
  return layers;
}

std::vector<LayerPieces> OwnRecord::Pieces(int part) const {
  std::vector<LayerPieces> layers(layout_.layers() + 1);
  for (int64_t layer = 0; layer <= layout_.layers(); ++layer) {
    const LayerActivations slice = Slice(layer, first_rows_[part], parts_[part].rows);
    for (int tensor = 0; tensor < kActivationTensors; ++tensor) {
      layers[layer][tensor].Append(slice[tensor]);
    }
  }
  return layers;
}

}  // namespace alchemist
