// ForwardScratch: the memory that forward passes over at most `rows_max` rows need beside what is
// recorded. One per thread that runs passes; taken once, so that a pass never allocates.
#ifndef ALCHEMIST_MODEL_FORWARD_SCRATCH_H_
#define ALCHEMIST_MODEL_FORWARD_SCRATCH_H_

#include <cstdint>

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/tensor_view.h"
#include "model/activation_layout.h"
#include "model/model.h"

namespace alchemist {

struct ForwardGroup;

class ForwardScratch {
 public:
  // ResourceExhausted when the device has no room.
  static absl::StatusOr<ForwardScratch> Create(const Model& model, int64_t rows_max,
                                               Device& device);

  int64_t rows_max() const { return rows_max_; }

  // Gives memory to every activation of `group` that has none (is not recorded): its tokens and
  // head rows stand, its `activations` may be empty. Layers share this memory, x included, which a
  // layer reads no more when it writes the next one's. So it holds one group at a time: valid until
  // the next call.
  void FillUnrecorded(ForwardGroup& group) const;

  // Temporaries of one ForwardLayer or ForwardLogits call. [rows_max, width] each.
  struct Temporaries {
    TensorView normed;       // [hidden]
    TensorView head_x;       // [hidden] last layer: x of the head rows; not beside `product`
    TensorView head_normed;  // [hidden] last layer; not beside `product`
    TensorView q;            // [q_width] after norm and rope; q/k norm families only
    TensorView k;            // [kv_width] f32
    TensorView v;            // [kv_width] f32
    TensorView product;      // [ffn] silu(gate) * up
    TensorView sums;         // [q_width] f32, q before it is stored as bf16
  };
  const Temporaries& temporaries() const { return temporaries_; }

 private:
  ForwardScratch() = default;

  int64_t rows_max_ = 0;
  const Model* model_ = nullptr;
  Buffer memory_;
  Temporaries temporaries_;
  LayerActivations unrecorded_;  // Shared by all layers.
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_FORWARD_SCRATCH_H_
