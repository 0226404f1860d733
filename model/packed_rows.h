// PackedRows: how a backward pass lays the rows of all nodes of its batch after each other, node by
// node, and its head rows likewise. Plain value of one pass.
#ifndef ALCHEMIST_MODEL_PACKED_ROWS_H_
#define ALCHEMIST_MODEL_PACKED_ROWS_H_

#include <cstdint>
#include <vector>

#include "model/activation_layout.h"
#include "model/backward.h"
#include "model/layer_parts.h"

namespace alchemist {

// One way to pack: all rows, or head rows alone.
struct RowPacking {
  std::vector<int32_t> positions;  // [rows]
  std::vector<AdapterRows> nodes;  // Each node's stretch of rows, perhaps empty.

  int64_t rows() const { return static_cast<int64_t>(positions.size()); }
};

class PackedRows {
 public:
  // Checks that the nodes fit together and have their activations and K/V from the lowest trained
  // layer up. `nodes` must outlive the object.
  PackedRows(const ModelConfig& config, DType dtype, const std::vector<BackwardNode>& nodes,
             int64_t lowest_trained_layer);

  const std::vector<BackwardNode>& nodes() const { return *nodes_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }  // [rows]
  const RowPacking& all() const { return all_; }
  const RowPacking& heads() const { return heads_; }
  // Of each head row, its row among all.
  const std::vector<int32_t>& head_rows() const { return head_rows_; }

  // A tensor of all nodes in packed order, wherever it lies.
  RowPieces Activation(int64_t layer, ActivationTensor tensor) const;

 private:
  const std::vector<BackwardNode>* nodes_;
  std::vector<int32_t> tokens_;
  RowPacking all_;
  RowPacking heads_;
  std::vector<int32_t> head_rows_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_PACKED_ROWS_H_
