// The one list of the tensors that a model is made of: their names and shapes in weight files and
// their places in ModelWeights. Loading and writing both walk it. Plain values; any thread.
#ifndef ALCHEMIST_MODEL_WEIGHT_ROLES_H_
#define ALCHEMIST_MODEL_WEIGHT_ROLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tensor_view.h"
#include "model/config.h"
#include "model/weights.h"

namespace alchemist {

struct WeightRole {
  std::string name;            // "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  // In the file: [rows, width], or [width] for norms and biases.
  ConstTensorView* view;       // Its place: [rows, width], or [1, width].

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t width() const { return shape.back(); }
};

inline constexpr char kEmbeddingName[] = "model.embed_tokens.weight";
inline constexpr char kHeadName[] = "lm_head.weight";

// Every tensor once, in an order that depends on `config` alone. A tied head has no role of its
// own: its memory is the embedding's. Resizes `weights.layers`; the places stay valid while
// `weights` stays where it is.
std::vector<WeightRole> WeightRoles(const ModelConfig& config, ModelWeights& weights);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_WEIGHT_ROLES_H_
