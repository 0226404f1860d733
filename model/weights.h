// Views of a model's weights by their role. Plain values: the memory belongs to Model.
#ifndef ALCHEMIST_MODEL_WEIGHTS_H_
#define ALCHEMIST_MODEL_WEIGHTS_H_

#include <vector>

#include "kernels/matmul.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct LayerWeights {
  ConstTensorView input_norm;  // [1, hidden]
  WeightView q;                // [heads * head_dim, hidden]
  WeightView k;                // [kv_heads * head_dim, hidden]
  WeightView v;                // [kv_heads * head_dim, hidden]
  WeightView o;                // [hidden, heads * head_dim]
  ConstTensorView q_norm;      // [1, head_dim], or no data
  ConstTensorView k_norm;      // [1, head_dim], or no data
  ConstTensorView ffn_norm;    // [1, hidden]; "post_attention_layernorm"
  WeightView gate;             // [ffn, hidden]
  WeightView up;               // [ffn, hidden]
  WeightView down;             // [hidden, ffn]
};

struct ModelWeights {
  ConstTensorView embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  ConstTensorView final_norm;  // [1, hidden]
  WeightView head;             // [vocab, hidden]; a tied head is the embedding's memory
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_WEIGHTS_H_
