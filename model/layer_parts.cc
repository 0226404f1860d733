#include "model/layer_parts.h"

#include <cmath>

#include "base/logging.h"

namespace alchemist {

const WeightView& LinearWeight(const LayerWeights& layer, Linear linear) {
  switch (linear) {
    case Linear::kQ:
      return layer.q;
    case Linear::kK:
      return layer.k;
    case Linear::kV:
      return layer.v;
    case Linear::kO:
      return layer.o;
    case Linear::kGate:
      return layer.gate;
    case Linear::kUp:
      return layer.up;
    case Linear::kDown:
      return layer.down;
  }
  LOG(FATAL) << "no linear " << static_cast<int>(linear);
}

AttentionShape AttentionShapeOf(const ModelConfig& config) {
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  return {config.heads, config.kv_heads, config.head_dim, scale};
}

std::vector<LoraSegment> LoraSegments(absl::Span<const AdapterRows> rows, int64_t layer,
                                      Linear linear) {
  std::vector<LoraSegment> segments;
  const LoraAdapter* previous = nullptr;  // Whose segment is the last one.
  for (const AdapterRows& part : rows) {
    if (part.adapter == nullptr || part.rows == 0) continue;
    const LoraView weights = part.adapter->View(layer, linear);
    if (weights.a.data == nullptr) continue;
    if (part.adapter == previous &&
        segments.back().first_row + segments.back().rows == part.first_row) {
      segments.back().rows += part.rows;
    } else {
      segments.push_back({part.first_row, part.rows, weights});
    }
    previous = part.adapter;
  }
  return segments;
}

}  // namespace alchemist
