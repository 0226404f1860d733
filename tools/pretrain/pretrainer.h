// Pretrainer: offline full-parameter training of a model from random weights with AdamW, a warm-up
// and a cosine. Owns the model and its moments; one thread. The same options and sequences make
// the same bits on machines whose kernels are the same.
#ifndef ALCHEMIST_TOOLS_PRETRAIN_PRETRAINER_H_
#define ALCHEMIST_TOOLS_PRETRAIN_PRETRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "kernels/adamw.h"
#include "kernels/device.h"
#include "kernels/stream.h"
#include "model/config.h"
#include "model/parameter_set.h"
#include "model/trainable_model.h"
#include "tools/pretrain/full_gradient.h"
#include "tools/pretrain/token_sequence.h"

namespace alchemist {

struct PretrainOptions {
  int64_t epochs = 20;
  int64_t batch_sequences = 128;
  double learning_rate = 3e-3;  // At its highest, after the warm-up.
  int64_t warmup_steps = 50;
  AdamWOptions adamw = {.beta2 = 0.95, .weight_decay = 0.1};  // Its learning rate is not used.
  double gradient_norm_max = 1.0;
  uint64_t seed = 1;  // Of the weights and of each epoch's order.
};

// Rises in a line over `warmup_steps` steps, then falls along half a cosine, to 0 after the last
// step. `step` counts from 1.
double LearningRateAt(const PretrainOptions& options, int64_t step, int64_t steps);

class Pretrainer {
 public:
  // Random weights: normal with deviation 0.02, those that write into the residual stream less by
  // sqrt(2 layers) (Radford et al. 2019); norms 1, biases 0. `device` and `stream` must outlive it.
  // InvalidArgument without sequences; ResourceExhausted when the device has no room.
  static absl::StatusOr<std::unique_ptr<Pretrainer>> Create(const ModelConfig& config,
                                                            const PretrainOptions& options,
                                                            std::vector<TokenSequence> sequences,
                                                            Device* device, Stream* stream);

  struct Progress {
    int64_t epoch = 0;  // From 1.
    int64_t step = 0;   // From 1.
    int64_t steps = 0;
    double loss = 0;  // Mean of the epoch so far, per trained token.
  };
  // Runs all epochs; calls `on_step` after each step. Internal when a gradient is not finite.
  absl::Status Run(const std::function<void(const Progress&)>& on_step);

  const TrainableModel& model() const { return *model_; }

 private:
  Pretrainer(const PretrainOptions& options, std::vector<TokenSequence> sequences,
             std::unique_ptr<TrainableModel> model, ParameterSet gradient,
             ParameterSet first_moment, ParameterSet second_moment, Stream* stream);
  int64_t steps() const;
  void DrawWeights();
  absl::Status Update(int64_t step);

  const PretrainOptions options_;
  const std::vector<TokenSequence> sequences_;
  Stream* const stream_;
  std::unique_ptr<TrainableModel> model_;
  std::unique_ptr<FullGradient> full_gradient_;
  ParameterSet gradient_;
  ParameterSet first_moment_;
  ParameterSet second_moment_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_PRETRAIN_PRETRAINER_H_
