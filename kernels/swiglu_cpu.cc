#include "kernels/swiglu_cpu.h"

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/row_tiles.h"
#include "kernels/scratch.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

// y may be gate.
ALCHEMIST_VECTOR_CLONES
void ForwardRow(const float* gate, const float* up, int64_t width, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < width; ++i) y[i] = gate[i] / (1.0f + Exp(-gate[i])) * up[i];
}

// dgate or dup may be dy: an element is read before it is written.
ALCHEMIST_VECTOR_CLONES
void BackwardRow(const float* gate, const float* up, const float* dy, int64_t width, float* dgate,
                 float* dup) {
#pragma GCC ivdep
  for (int64_t i = 0; i < width; ++i) {
    const float z = gate[i];
    const float d = dy[i];
    const float sigmoid = 1.0f / (1.0f + Exp(-z));
    const float dz = d * up[i] * sigmoid * (1.0f + z * (1.0f - sigmoid));
    dgate[i] = dz;
    dup[i] = d * z * sigmoid;
  }
}

}  // namespace

template <typename T>
void SwigluForwardCpu(const RowPieces& gate, const RowPieces& up, TensorView y, Stream& stream) {
  const int64_t width = y.width;
  ForEachRowTile(stream, y.rows, width, [&](int64_t first, int64_t count) {
    thread_local Scratch<float> scratch;
    float* const rows = scratch.Get(2 * width);
    for (int64_t row = first; row < first + count; ++row) {
      const float* const gate_row = AsF32(gate.Row<T>(row), width, rows);
      const float* const up_row = AsF32(up.Row<T>(row), width, rows + width);
      float* const sums = SumsOf(y.Row<T>(row), rows);
      ForwardRow(gate_row, up_row, width, sums);
      StoreSums(sums, width, y.Row<T>(row));
    }
  });
}

template <typename T>
void SwigluBackwardCpu(const RowPieces& gate, const RowPieces& up, ConstTensorView dy,
                       TensorView dgate, TensorView dup, Stream& stream) {
  const int64_t width = dy.width;
  ForEachRowTile(stream, dy.rows, width, [&](int64_t first, int64_t count) {
    thread_local Scratch<float> scratch;
    float* const rows = scratch.Get(2 * width);
    for (int64_t row = first; row < first + count; ++row) {
      BackwardRow(AsF32(gate.Row<T>(row), width, rows), AsF32(up.Row<T>(row), width, rows + width),
                  dy.Row<float>(row), width, dgate.Row<float>(row), dup.Row<float>(row));
    }
  });
}

template void SwigluForwardCpu<float>(const RowPieces&, const RowPieces&, TensorView, Stream&);
template void SwigluForwardCpu<Bf16>(const RowPieces&, const RowPieces&, TensorView, Stream&);
template void SwigluBackwardCpu<float>(const RowPieces&, const RowPieces&, ConstTensorView,
                                       TensorView, TensorView, Stream&);
template void SwigluBackwardCpu<Bf16>(const RowPieces&, const RowPieces&, ConstTensorView,
                                      TensorView, TensorView, Stream&);

}  // namespace alchemist
