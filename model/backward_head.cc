#include "model/backward_head.h"

#include "base/logging.h"
#include "kernels/copy_rows.h"
#include "kernels/log_prob.h"
#include "kernels/residual.h"
#include "kernels/rms_norm.h"

namespace alchemist {

HeadBackward::HeadBackward(const BackwardBatch& batch, const std::vector<TrainedToken>& trained)
    : batch_(batch), log_probs_(trained.size()) {
  for (const TrainedToken& target : trained) {
    const AdapterRows& heads = batch.rows.heads().nodes.at(target.node);
    CHECK(target.head_row >= 0 && target.head_row < heads.rows)
        << "head row " << target.head_row << " of " << heads.rows << " in node " << target.node;
    CHECK(target.token >= 0 && target.token < batch.model.config().vocab) << target.token;
    head_rows_.push_back(static_cast<int32_t>(heads.first_row + target.head_row));
    tokens_.push_back(target.token);
  }
}

absl::Span<const float> HeadBackward::LogProbs() {
  if (!computed_) Compute(TensorView(), {});
  return log_probs_;
}

void HeadBackward::Compute(TensorView dw, absl::Span<const float> c) {
  const BackwardScratch& s = batch_.scratch;
  const ModelConfig& config = batch_.model.config();
  const ModelWeights& weights = batch_.model.weights();
  RmsNormForward(batch_.rows.Activation(config.layers, ActivationTensor::kX), weights.final_norm,
                 config.norm_epsilon, s.head_normed, batch_.stream);
  GatherRows(s.head_normed, head_rows_, s.targets, batch_.stream);
  LogProb(s.targets, weights.head, tokens_, absl::MakeSpan(log_probs_), {s.unit_gradient, dw, c},
          batch_.stream);
  computed_ = true;
}

void HeadBackward::Run(absl::Span<const float> c) {
  const BackwardScratch& s = batch_.scratch;
  const ModelConfig& config = batch_.model.config();
  ParameterSet* const full = batch_.options.full_gradients;
  // The head's weight gradient needs c and the softmax at once: the log-probs are computed anew
  // even when they are known.
  if (full != nullptr) {
    Compute(full->Writable(full->weights().head.values), c);
  } else {
    LogProbs();
  }
  ScaleRows(s.unit_gradient, c, s.unit_gradient, batch_.stream);
  SetZero(s.head_dnormed, batch_.stream);
  ScatterAddRows(s.unit_gradient, head_rows_, s.head_dnormed, batch_.stream);
  RmsNormBackward(batch_.rows.Activation(config.layers, ActivationTensor::kX),
                  batch_.model.weights().final_norm, config.norm_epsilon, s.head_dnormed, s.head_dx,
                  Accumulate::kNo,
                  full != nullptr ? full->Writable(full->weights().final_norm) : TensorView(),
                  batch_.stream);
}

}  // namespace alchemist
