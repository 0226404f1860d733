// What forward and backward both say of a layer: its weights by name, the shape of its attention,
// and which rows of a batch go through which adapter.
#ifndef ALCHEMIST_MODEL_LAYER_PARTS_H_
#define ALCHEMIST_MODEL_LAYER_PARTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention.h"
#include "kernels/lora.h"
#include "kernels/matmul.h"
#include "model/config.h"
#include "model/lora_adapter.h"
#include "model/weights.h"

namespace alchemist {

const WeightView& LinearWeight(const LayerWeights& layer, Linear linear);

AttentionShape AttentionShapeOf(const ModelConfig& config);

// Rows [first_row, first_row + rows) of a batch use `adapter`; null: the base model alone.
struct AdapterRows {
  int64_t first_row = 0;
  int64_t rows = 0;
  const LoraAdapter* adapter = nullptr;
};

// The segments of `rows` (ascending) that have an adapter for this linear. Neighbours with the same
// adapter become one: a row's result does not depend on its segment.
std::vector<LoraSegment> LoraSegments(absl::Span<const AdapterRows> rows, int64_t layer,
                                      Linear linear);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_LAYER_PARTS_H_
