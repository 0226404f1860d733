// FullGradient: the gradient of a batch of texts by all parameters of a model. One per training
// run, one thread. The passes are the daemons' own.
#ifndef ALCHEMIST_TOOLS_PRETRAIN_FULL_GRADIENT_H_
#define ALCHEMIST_TOOLS_PRETRAIN_FULL_GRADIENT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/stream.h"
#include "model/activation_layout.h"
#include "model/forward_scratch.h"
#include "model/model.h"
#include "model/own_record.h"
#include "model/parameter_set.h"
#include "tools/pretrain/token_sequence.h"

namespace alchemist {

class FullGradient {
 public:
  // All arguments must outlive it. A batch has at most `rows_max` rows.
  static absl::StatusOr<std::unique_ptr<FullGradient>> Create(const Model* model, int64_t rows_max,
                                                              Device* device, Stream* stream);

  struct Loss {
    double sum = 0;      // of the negative log-probabilities of the trained tokens
    int64_t tokens = 0;  // how many those are
    double mean() const { return tokens > 0 ? sum / static_cast<double>(tokens) : 0; }
  };
  // Sets `ascent` to the gradient of the mean log-probability of the batch's trained tokens, and
  // returns their loss. REQUIRES: at least one sequence, rows within rows_max. ResourceExhausted
  // when the device has no room.
  absl::StatusOr<Loss> Compute(absl::Span<const TokenSequence* const> batch, ParameterSet& ascent);

 private:
  FullGradient(const Model* model, Device* device, Stream* stream, ForwardScratch scratch);
  void Forward(absl::Span<const TokenSequence* const> batch, OwnRecord& record);

  const Model* const model_;
  Device* const device_;
  Stream* const stream_;
  const ActivationLayout layout_;
  ForwardScratch scratch_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_PRETRAIN_FULL_GRADIENT_H_
