#include "model/forward.h"

#include "base/logging.h"
#include "kernels/embedding.h"
#include "kernels/rms_norm.h"

namespace alchemist {

void ForwardEmbedding(const Model& model, ForwardGroup& group, Stream& stream) {
  EmbeddingForward(group.tokens, model.weights().embedding,
                   Of(group.activations[0], ActivationTensor::kX), stream);
}

void ForwardLogits(const Model& model, const ForwardGroup& group, ForwardScratch& scratch,
                   TensorView logits, Stream& stream) {
  const int64_t rows = static_cast<int64_t>(group.head_rows.size());
  CHECK_EQ(logits.rows, rows);
  if (rows == 0) return;
  const TensorView x = Of(group.activations[model.config().layers], ActivationTensor::kX);
  const TensorView normed = scratch.temporaries().normed.Rows(0, rows);
  RmsNormForward(x, model.weights().final_norm, model.config().norm_epsilon, normed, stream);
  MatmulForward(normed, model.weights().head, logits, group.phase, stream);
}

}  // namespace alchemist
