#include "kernels/residual.h"

#include "base/logging.h"
#include "kernels/dispatch.h"
#include "kernels/residual_cpu.h"

namespace alchemist {
namespace {

void CheckRowsOf(const char* what, ConstTensorView view, absl::Span<const int32_t> rows) {
  for (int32_t row : rows) {
    CHECK(row >= 0 && row < view.rows) << what << " has no row " << row << " of " << view.rows;
  }
}

}  // namespace

void GatherRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y, Stream& stream) {
  CheckShape("GatherRows y", y, static_cast<int64_t>(rows.size()), x.width, x.dtype);
  CheckRowsOf("GatherRows x", x, rows);
  GatherRowsCpu(x, rows, y, stream);
}

void ScatterAddRows(ConstTensorView x, absl::Span<const int32_t> rows, TensorView y,
                    Stream& stream) {
  CheckShape("ScatterAddRows x", x, static_cast<int64_t>(rows.size()), y.width, DType::kF32);
  CheckShape("ScatterAddRows y", y, y.rows, y.width, DType::kF32);
  CheckRowsOf("ScatterAddRows y", y, rows);
  ScatterAddRowsCpu(x, rows, y, stream);
}

}  // namespace alchemist
