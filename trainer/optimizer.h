// Optimizer: the adapter that is being updated, and its AdamW moments. Owned by the trainer's loop.
#ifndef ALCHEMIST_TRAINER_OPTIMIZER_H_
#define ALCHEMIST_TRAINER_OPTIMIZER_H_

#include <cstdint>
#include <memory>

#include "kernels/adamw.h"
#include "kernels/stream.h"
#include "model/adapter_gradients.h"
#include "model/lora_adapter.h"

namespace alchemist {

struct OptimizerOptions {
  AdamWOptions adamw;
  double gradient_norm_max = 1.0;  // Larger gradients are scaled down to it.
};

class Optimizer {
 public:
  // Fresh moments for `adapter`.
  Optimizer(const OptimizerOptions& options, std::unique_ptr<LoraAdapter> adapter);
  // Going on where a checkpoint stopped: moments of the adapter's shapes.
  Optimizer(const OptimizerOptions& options, std::unique_ptr<LoraAdapter> adapter,
            AdapterGradients first_moment, AdapterGradients second_moment, int64_t steps);

  struct Update {
    bool applied = false;  // False: the gradient was not finite, nothing changed.
    double gradient_norm = 0;
    double update_norm = 0;   // Frobenius, over all A and B.
    double adapter_norm = 0;  // After the update.
  };
  // One AdamW step along the gradients of the objective to be increased. They are used up.
  Update Apply(AdapterGradients& ascent, Stream& stream);

  // Its digest is that of construction: whoever shows a copy to others updates the copy's.
  const LoraAdapter& adapter() const { return *adapter_; }
  AdapterGradients& first_moment() { return first_moment_; }
  AdapterGradients& second_moment() { return second_moment_; }
  int64_t steps() const { return steps_; }  // Since the moments were fresh.
  double AdapterNorm() const;

 private:
  const OptimizerOptions options_;
  std::unique_ptr<LoraAdapter> adapter_;
  AdapterGradients first_moment_;
  AdapterGradients second_moment_;
  int64_t steps_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_OPTIMIZER_H_
