// LayerBackward: one layer's step of a backward pass, for all nodes together. Part of one pass.
#ifndef ALCHEMIST_MODEL_BACKWARD_LAYER_H_
#define ALCHEMIST_MODEL_BACKWARD_LAYER_H_

#include <cstdint>

#include "kernels/row_pieces.h"
#include "model/backward_batch.h"
#include "model/backward_linear.h"

namespace alchemist {

class LayerBackward {
 public:
  LayerBackward(const BackwardBatch& batch, int64_t layer);

  // In: the gradient of the layer's output, in head_dx for the last layer, which has outputs for
  // head rows only, else in dx. Out: dx, the gradient of its input, for all rows; not computed for
  // the lowest trained layer unless full gradients are wanted.
  void Run();

 private:
  RowPieces Activation(ActivationTensor tensor) const {
    return batch_.rows.Activation(layer_, tensor);
  }
  // Where Attention leaves the gradients of the q and k linears' outputs.
  TensorView LinearDq() const {
    return (config_.qk_norm ? s_.dq_raw : s_.dq).Rows(0, active_.rows());
  }
  TensorView LinearDk() const { return config_.qk_norm ? s_.dk_raw : s_.dk; }
  void Norm(const RowPieces& x, ConstTensorView gamma, TensorView y) const;
  // dx (+)= the gradient of the layer's norm `gamma`; adds gamma's own where it is wanted.
  void NormGradient(const RowPieces& x, ConstTensorView LayerWeights::*gamma, ConstTensorView dy,
                    TensorView dx, Accumulate accumulate) const;

  // dh += through the feed-forward part, h being the residual after attention.
  void FeedForward(TensorView dh) const;
  // LinearDq, LinearDk, dv = from dh through the linear o, attention, rope and the q/k norms.
  void Attention(ConstTensorView dh) const;
  void AttentionScores(ConstTensorView dattention) const;
  // From these through the q, k, v linears and the input norm; adds to dx where it is wanted.
  void Qkv(TensorView dh) const;
  // The q linear of the last layer: its rows are the head rows. dnormed += at those rows.
  void HeadQ(ConstTensorView normed, TensorView dnormed) const;
  RowPieces Input() const;  // x of all rows.

  const BackwardBatch batch_;
  const ModelConfig& config_;
  const LayerWeights& weights_;
  const BackwardScratch& s_;
  const int64_t layer_;
  const bool last_;
  const RowPacking& active_;  // The rows that have outputs.
  const LinearGradients linears_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BACKWARD_LAYER_H_
