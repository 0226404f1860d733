// AdamW (Loshchilov and Hutter 2019) over one f32 tensor, and the norms around it.
#ifndef ALCHEMIST_KERNELS_ADAMW_H_
#define ALCHEMIST_KERNELS_ADAMW_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

// One update with bias correction for `step` (1 for the first). The gradient is multiplied by
// `gradient_scale` (clipping) on the way. Returns the sum of squares of the change of `weights`.
double AdamWStep(const AdamWOptions& options, int64_t step, double gradient_scale,
                 ConstTensorView gradient,  // f32, the shape of weights
                 TensorView weights,        // f32
                 TensorView first_moment,   // f32
                 TensorView second_moment,  // f32
                 Stream& stream);

// The sum of squares, in double, in a fixed order. NaN or infinity when any element is.
double SumOfSquares(ConstTensorView x);  // f32

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ADAMW_H_
