// HeadBackward: the step of a backward pass from the trained tokens' log-probs to the gradient of
// the last layer's output. Part of one pass.
#ifndef ALCHEMIST_MODEL_BACKWARD_HEAD_H_
#define ALCHEMIST_MODEL_BACKWARD_HEAD_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/backward_batch.h"

namespace alchemist {

class HeadBackward {
 public:
  HeadBackward(const BackwardBatch& batch, const std::vector<TrainedToken>& trained);

  absl::Span<const float> LogProbs();
  // head_dx = the gradient of sum c[t] log pi(y_t) at the final norm's input.
  void Run(absl::Span<const float> c);

 private:
  // The log-probs and unit gradients; with `dw` and `c` the head's weight gradient too.
  void Compute(TensorView dw, absl::Span<const float> c);

  const BackwardBatch batch_;
  std::vector<int32_t> head_rows_;  // [T] each trained token's packed head row
  std::vector<int32_t> tokens_;     // [T]
  std::vector<float> log_probs_;    // [T]
  bool computed_ = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BACKWARD_HEAD_H_
