// Log-probabilities of given tokens under the output head, and their gradient, in chunks of rows so
// that [rows, vocab] never exists as a whole.
#ifndef ALCHEMIST_KERNELS_LOG_PROB_H_
#define ALCHEMIST_KERNELS_LOG_PROB_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/matmul.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// log_probs[t] = log softmax(hidden[t] W^T)[targets[t]]; when `unit_gradient` has data, its row t
// is d log_probs[t] / d hidden[t] = W[target] - softmax W, still to be scaled by the objective's
// c_t. When dw has data: dw += c[t] * d log_probs[t] / dW (full-parameter training; then `c` is
// given). The calling thread keeps memory for the logits of one chunk, 64 rows.
struct LogProbGradients {
  TensorView unit_gradient;   // [rows, hidden] f32, or no data
  TensorView dw;              // [vocab, hidden] f32, or no data
  absl::Span<const float> c;  // [rows], with dw
};
void LogProb(ConstTensorView hidden,             // [rows, hidden] f32 or bf16, after the final norm
             const WeightView& head,             // [vocab, hidden] of the same type
             absl::Span<const int32_t> targets,  // [rows]
             absl::Span<float> log_probs,        // [rows]
             const LogProbGradients& gradients, Stream& stream);

// dx[t] = c[t] * unit_gradient[t], f32; may be in place.
void ScaleRows(ConstTensorView unit_gradient, absl::Span<const float> c, TensorView dx,
               Stream& stream);

// log softmax(logits)[token] of one row, the same number that LogProb makes of these logits, before
// it is rounded to float. For the log-prob of a sampled token.
double LogSoftmaxAt(absl::Span<const float> logits, int32_t token);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LOG_PROB_H_
