// BackwardScratch: the memory of one backward pass, taken at once. R: packed rows, H: packed head
// rows, T: trained tokens. Gradients (d...) are f32, what is recomputed has the model's type.
// Tensors of different steps of a layer share memory.
#ifndef ALCHEMIST_MODEL_BACKWARD_SCRATCH_H_
#define ALCHEMIST_MODEL_BACKWARD_SCRATCH_H_

#include <cstdint>

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/tensor_view.h"
#include "model/config.h"

namespace alchemist {

struct BackwardScratch {
  static absl::StatusOr<BackwardScratch> Create(const ModelConfig& config, DType dtype,
                                                int64_t rows, int64_t head_rows, int64_t trained,
                                                Device& device);

  // Alive from layer to layer.
  TensorView dx;             // [R, hidden]
  TensorView head_dx;        // [H, hidden]
  TensorView unit_gradient;  // [T, hidden] then times c
  // A norm's output and its gradient, used by every step.
  TensorView normed;        // [R, hidden]
  TensorView dnormed;       // [R, hidden]
  TensorView head_normed;   // [H, hidden]
  TensorView head_dnormed;  // [H, hidden]
  // The head's step.
  TensorView targets;  // [T, hidden] one row a trained token
  // The feed-forward step.
  TensorView product;   // [R, ffn] silu(gate) * up; not beside dup
  TensorView dup;       // [R, ffn]
  TensorView dproduct;  // [R, ffn] then d gate
  // The attention step.
  TensorView attention;   // [R, q_width] a dense copy of the attention output; not beside dq
  TensorView dq;          // [R, q_width]
  TensorView dk;          // [R, kv_width]
  TensorView dv;          // [R, kv_width]
  TensorView q;           // [R, q_width] q/k norm families: after norm and rope; not beside dq_raw
  TensorView dq_raw;      // [R, q_width] q/k norm families: dq before norm and rope
  TensorView dk_raw;      // [R, kv_width] q/k norm families: dk before norm and rope
  TensorView dattention;  // [R, q_width]
  TensorView embedded;    // [R, hidden] layer 0's x; not beside dattention

  Buffer memory;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BACKWARD_SCRATCH_H_
