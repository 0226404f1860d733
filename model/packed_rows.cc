#include "model/packed_rows.h"

#include "base/logging.h"

namespace alchemist {
namespace {

// A broken node would be read out of bounds later: found here, where its index can be named.
void CheckNode(const ModelConfig& config, const ActivationLayout& layout,
               const std::vector<BackwardNode>& nodes, int index) {
  const BackwardNode& node = nodes[index];
  CHECK_GT(node.rows(), 0) << "node " << index;
  CHECK_LT(node.parent, index) << "a parent comes before its children";
  if (node.parent < 0) {
    CHECK_EQ(node.first_position, 0) << "node " << index << " is a root";
  } else {
    const BackwardNode& parent = nodes[node.parent];
    CHECK(node.first_position > parent.first_position &&
          node.first_position <= parent.first_position + parent.rows())
        << "node " << index << " goes on at " << node.first_position;
  }
  CHECK_EQ(static_cast<int64_t>(node.activations.size()), config.layers + 1) << "node " << index;
  CHECK_EQ(static_cast<int64_t>(node.kv.size()), config.layers) << "node " << index;
  for (int64_t layer = layout.lowest_trained_layer(); layer <= config.layers; ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      const int64_t rows =
          spec.head_rows_only ? static_cast<int64_t>(node.head_rows.size()) : node.rows();
      const RowPieces& pieces = Of(node.activations[layer], spec.tensor);
      CHECK(pieces.rows() == rows && (rows == 0 || pieces.dtype() == spec.dtype))
          << "node " << index << " layer " << layer << " " << ActivationTensorName(spec.tensor)
          << ": " << pieces.rows() << " rows of " << DTypeName(pieces.dtype());
    }
    if (layer == config.layers) continue;
    int64_t position = node.first_position;
    for (const KvRun& run : node.kv[layer]) {
      CHECK_EQ(run.first_position, position) << "node " << index << " layer " << layer;
      position += run.k.rows;
    }
    CHECK_EQ(position, node.first_position + node.rows()) << "node " << index << " K/V";
  }
}

}  // namespace

PackedRows::PackedRows(const ModelConfig& config, DType dtype,
                       const std::vector<BackwardNode>& nodes, int64_t lowest_trained_layer)
    : nodes_(&nodes) {
  const ActivationLayout layout(config, dtype, lowest_trained_layer);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const BackwardNode& node = nodes[i];
    CheckNode(config, layout, nodes, static_cast<int>(i));
    const int64_t heads = static_cast<int64_t>(node.head_rows.size());
    const int64_t first_row = all_.rows();
    all_.nodes.push_back({first_row, node.rows(), node.adapter});
    heads_.nodes.push_back({heads_.rows(), heads, node.adapter});
    tokens_.insert(tokens_.end(), node.tokens.begin(), node.tokens.end());
    for (int64_t row = 0; row < node.rows(); ++row) {
      all_.positions.push_back(static_cast<int32_t>(node.first_position + row));
    }
    int32_t previous = -1;
    for (const int32_t row : node.head_rows) {
      CHECK(row > previous && row < node.rows()) << "node " << i << " head row " << row;
      previous = row;
      heads_.positions.push_back(static_cast<int32_t>(node.first_position + row));
      head_rows_.push_back(static_cast<int32_t>(first_row + row));
    }
  }
}

RowPieces PackedRows::Activation(int64_t layer, ActivationTensor tensor) const {
  RowPieces packed;
  for (const BackwardNode& node : *nodes_) {
    for (const ConstTensorView& piece : Of(node.activations[layer], tensor).pieces()) {
      packed.Append(piece);
    }
  }
  return packed;
}

}  // namespace alchemist
