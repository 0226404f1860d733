#include "kernels/rope_cpu.h"

#include "kernels/rope_reference.h"
#include "kernels/row_tiles.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

ALCHEMIST_VECTOR_CLONES
void RotateRow(float* x, int64_t width, const float* cos, const float* sin, int64_t half) {
  for (int64_t head = 0; head < width; head += 2 * half) RopeReference(x + head, cos, sin, half);
}

ALCHEMIST_VECTOR_CLONES
void RotateRowBack(float* x, int64_t width, const float* cos, const float* sin, int64_t half) {
  for (int64_t head = 0; head < width; head += 2 * half) RopeReferenceVjp(x + head, cos, sin, half);
}

}  // namespace

void RopeForwardCpu(const RopeTable& table, absl::Span<const int32_t> positions, TensorView x,
                    Stream& stream) {
  ForEachRowTile(stream, x.rows, x.width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      RotateRow(x.Row<float>(row), x.width, table.Cos(positions[row]), table.Sin(positions[row]),
                table.head_dim() / 2);
    }
  });
}

void RopeBackwardCpu(const RopeTable& table, absl::Span<const int32_t> positions, TensorView dx,
                     Stream& stream) {
  ForEachRowTile(stream, dx.rows, dx.width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      RotateRowBack(dx.Row<float>(row), dx.width, table.Cos(positions[row]),
                    table.Sin(positions[row]), table.head_dim() / 2);
    }
  });
}

}  // namespace alchemist
