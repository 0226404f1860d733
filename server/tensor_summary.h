// TensorSummary: what the values of a tensor are like, for people. Pure functions and plain values;
// any thread.
#ifndef ALCHEMIST_SERVER_TENSOR_SUMMARY_H_
#define ALCHEMIST_SERVER_TENSOR_SUMMARY_H_

#include <cstdint>

#include "kernels/tensor_view.h"

namespace alchemist {

struct TensorSummary {
  int64_t finite = 0;     // How many values are.
  int64_t nonfinite = 0;  // Infinite or NaN.
  double min = 0;         // Of the finite ones; 0 when there are none.
  double max = 0;
  double sum_squares = 0;

  double l2_norm() const;
};

// Adds the values of `rows` [rows, width], f32 or bf16.
void AddRows(ConstTensorView rows, TensorSummary& summary);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_TENSOR_SUMMARY_H_
