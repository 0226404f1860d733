#include "server/tensor_summary.h"

#include <algorithm>
#include <cmath>

#include "kernels/bf16.h"
#include "kernels/dispatch.h"

namespace alchemist {
namespace {

void AddValue(double value, TensorSummary& summary) {
  if (!std::isfinite(value)) {
    ++summary.nonfinite;
    return;
  }
  summary.min = summary.finite == 0 ? value : std::min(summary.min, value);
  summary.max = summary.finite == 0 ? value : std::max(summary.max, value);
  summary.sum_squares += value * value;
  ++summary.finite;
}

}  // namespace

double TensorSummary::l2_norm() const { return std::sqrt(sum_squares); }

void AddRows(ConstTensorView rows, TensorSummary& summary) {
  DispatchDType("summary", rows.dtype, [&](auto type) {
    using T = decltype(type);
    const T* const values = static_cast<const T*>(rows.data);
    for (int64_t i = 0; i < rows.rows * rows.width; ++i) {
      AddValue(static_cast<double>(ToF32(values[i])), summary);
    }
  });
}

}  // namespace alchemist
