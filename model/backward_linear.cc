#include "model/backward_linear.h"

#include <vector>

#include "base/logging.h"
#include "kernels/lora.h"
#include "kernels/matmul.h"
#include "kernels/row_sum.h"
#include "model/layer_parts.h"

namespace alchemist {

bool LinearGradients::NeedInput(int64_t layer, std::initializer_list<Linear> linears,
                                const RowPacking& packing) const {
  if (options_.full_gradients != nullptr) return true;
  for (const Linear linear : linears) {
    if (!LoraSegments(packing.nodes, layer, linear).empty()) return true;
  }
  return false;
}

void LinearGradients::Run(int64_t layer, Linear linear, const RowPacking& packing,
                          ConstTensorView x, ConstTensorView dy, TensorView dx,
                          Accumulate accumulate) const {
  const WeightView& weight = LinearWeight(model_.weights().layers[layer], linear);
  if (dx.data != nullptr) MatmulInputGradient(dy, weight, dx, accumulate, stream_);

  const std::vector<LoraSegment> segments = LoraSegments(packing.nodes, layer, linear);
  if (!segments.empty()) {
    CHECK(options_.adapter_gradients != nullptr) << "nodes with adapters need their gradients";
    LoraBackward(x, dy, segments, dx, options_.adapter_gradients->A(layer, linear),
                 options_.adapter_gradients->B(layer, linear), stream_);
  }
  if (options_.full_gradients == nullptr) return;
  ParameterSet& full = *options_.full_gradients;
  const WeightView& gradient = LinearWeight(full.weights().layers[layer], linear);
  MatmulWeightGradient(dy, x, full.Writable(gradient.values), stream_);
  if (gradient.bias.data != nullptr) AddRowSum(dy, full.Writable(gradient.bias), stream_);
}

}  // namespace alchemist
