// ParameterSet: one f32 tensor for every parameter of a model, in the places of ModelWeights and
// under their Hugging Face names. Offline training keeps its weights, their gradients and the
// optimizer's moments in one each. Move only; the memory goes with it.
#ifndef ALCHEMIST_MODEL_PARAMETER_SET_H_
#define ALCHEMIST_MODEL_PARAMETER_SET_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/tensor_view.h"
#include "model/config.h"
#include "model/weights.h"

namespace alchemist {

class ParameterSet {
 public:
  struct Named {
    std::string name;  // "model.layers.0.self_attn.q_proj.weight"
    TensorView tensor;
  };

  // Zeros. ResourceExhausted when the device has no room.
  static absl::StatusOr<ParameterSet> Create(const ModelConfig& config, Device& device);

  // Every tensor once, in the same order for every set of the same config.
  const std::vector<Named>& tensors() const { return tensors_; }
  // The tensors by role; a tied head is the embedding's memory.
  const ModelWeights& weights() const { return weights_; }
  // The memory behind a view of weights(), to be written; no data for a view without data.
  TensorView Writable(ConstTensorView view);

 private:
  ParameterSet() = default;

  std::vector<Named> tensors_;
  ModelWeights weights_;
  Buffer memory_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_PARAMETER_SET_H_
