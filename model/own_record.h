// OwnRecord: activations and K/V of one or several sequences' rows in private memory, laid out as
// ActivationLayout says. The trainer keeps its own records in it (response rows, recomputed
// prompts, later passes); owned and called by its loop. The memory is taken once, in Create.
//
//   OwnRecord::Create(model, layout, parts, device)        takes the memory
//   ForwardGroup: activations = record->Activations(...)   the forward pass writes it, whole or in
//                 kv_write = record->KvWrite(...)          chunks of rows
//   BackwardNode: activations = record->Pieces(part)       the backward pass reads it
//                 kv = record->Kv(part)
#ifndef ALCHEMIST_MODEL_OWN_RECORD_H_
#define ALCHEMIST_MODEL_OWN_RECORD_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "kernels/attention.h"
#include "kernels/device.h"
#include "model/activation_layout.h"
#include "model/forward.h"

namespace alchemist {

class OwnRecord {
 public:
  // Adjacent rows of one sequence. Parts lie one after the other in the record's tensors.
  struct Part {
    int64_t first_position = 0;
    int64_t rows = 0;
    std::vector<int32_t> head_rows;  // Ascending, counted from the part's first row.
  };

  // ResourceExhausted when the device has no room.
  static absl::StatusOr<std::unique_ptr<OwnRecord>> Create(const ActivationLayout& layout,
                                                           std::vector<Part> parts, Device& device);

  int64_t rows() const { return rows_; }
  int64_t bytes() const { return memory_.bytes(); }

  // For a group over the record's rows [first_row, first_row + rows) (of any parts): where their
  // activations go, [layers + 1]; what the layout does not record has no data yet (see
  // ForwardScratch::FillUnrecorded). HeadRows: the head rows among them, counted from first_row.
  std::vector<LayerActivations> Activations(int64_t first_row, int64_t rows);
  std::vector<int32_t> HeadRows(int64_t first_row, int64_t rows) const;
  // The record's row at which a part begins.
  int64_t FirstRow(int part) const { return first_rows_[part]; }

  // Per layer: where the K/V of the part's rows [first_row, first_row + rows) go.
  std::vector<std::vector<KvRows>> KvWrite(int part, int64_t first_row, int64_t rows);
  // Per layer: the K/V of the part's own rows; rows not yet written hold nothing.
  std::vector<std::vector<KvRun>> Kv(int part) const;

  // The part's activations, [layers + 1], for a BackwardNode.
  std::vector<LayerPieces> Pieces(int part) const;

 private:
  struct KvTensors {
    TensorView k;  // [rows, kv_width]
    TensorView v;  // [rows, kv_width]
  };

  OwnRecord(const ActivationLayout& layout, std::vector<Part> parts);
  int64_t HeadRowsBefore(int64_t row) const;  // Head rows of the record before its row `row`.
  // The tensors' rows [first_row, first_row + rows), head rows alone where the layout says so.
  LayerActivations Slice(int64_t layer, int64_t first_row, int64_t rows) const;

  const ActivationLayout layout_;
  const std::vector<Part> parts_;
  std::vector<int64_t> first_rows_;  // [parts]
  std::vector<int32_t> head_rows_;   // Ascending, counted from the record's first row.
  int64_t rows_ = 0;
  Buffer memory_;
  std::vector<LayerActivations> activations_;  // [layers + 1]
  std::vector<KvTensors> kv_;                  // [layers]
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_OWN_RECORD_H_
