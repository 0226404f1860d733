// AdamW of one element, for float and double.
#ifndef ALCHEMIST_KERNELS_ADAMW_REFERENCE_H_
#define ALCHEMIST_KERNELS_ADAMW_REFERENCE_H_

#include <cmath>
#include <cstdint>

#include "kernels/adamw.h"

namespace alchemist {

// What the elements of one step share, in double.
struct AdamWStepConstants {
  AdamWStepConstants(const AdamWOptions& options, int64_t step, double gradient_scale)
      : gradient_scale(gradient_scale),
        beta1(options.beta1),
        beta2(options.beta2),
        bias_correction1(1 - std::pow(options.beta1, static_cast<double>(step))),
        bias_correction2(1 - std::pow(options.beta2, static_cast<double>(step))),
        epsilon(options.epsilon),
        learning_rate(options.learning_rate),
        weight_decay(options.weight_decay) {}

  double gradient_scale;
  double beta1;
  double beta2;
  double bias_correction1;
  double bias_correction2;
  double epsilon;
  double learning_rate;
  double weight_decay;
};

template <typename T>
inline void AdamWReference(const AdamWStepConstants& c, T gradient, T* weight, T* first_moment,
                           T* second_moment) {
  const T g = gradient * T(c.gradient_scale);
  *first_moment = T(c.beta1) * *first_moment + T(1 - c.beta1) * g;
  *second_moment = T(c.beta2) * *second_moment + T(1 - c.beta2) * g * g;
  const T first = *first_moment / T(c.bias_correction1);
  const T second = *second_moment / T(c.bias_correction2);
  const T direction = first / (std::sqrt(second) + T(c.epsilon)) + T(c.weight_decay) * *weight;
  *weight -= T(c.learning_rate) * direction;
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ADAMW_REFERENCE_H_
