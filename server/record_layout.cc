#include "server/record_layout.h"

#include <optional>

namespace alchemist {

std::vector<BlockTensor> BlockTensorsOf(const ActivationLayout& layout) {
  std::vector<BlockTensor> tensors;
  for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      tensors.push_back({layer, static_cast<uint32_t>(spec.tensor),
                         spec.width * BytesPerElement(spec.dtype), spec.head_rows_only});
    }
  }
  return tensors;
}

void WriteToBlock(const ActivationLayout& layout, const Block& block, std::byte* arena,
                  int64_t rows, int64_t head_rows, std::vector<LayerActivations>& activations) {
  int64_t index = 0;
  for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      const std::optional<int64_t> offset = block.Offset(index++);
      if (!offset.has_value()) continue;
      activations[layer][static_cast<size_t>(spec.tensor)] = {
          arena + *offset, spec.head_rows_only ? head_rows : rows, spec.width, spec.dtype};
    }
  }
}

}  // namespace alchemist
