#include "kernels/swiglu_cpu.h"

#include <cstdint>

#include "kernels/row_tiles.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

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
  ForEachRowTile(stream, y.rows, y.width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      ForwardRow(gate.Row<T>(row), up.Row<T>(row), y.width, y.Row<T>(row));
    }
  });
}

template <typename T>
void SwigluBackwardCpu(const RowPieces& gate, const RowPieces& up, ConstTensorView dy,
                       TensorView dgate, TensorView dup, Stream& stream) {
  ForEachRowTile(stream, dy.rows, dy.width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      BackwardRow(gate.Row<T>(row), up.Row<T>(row), dy.Row<T>(row), dy.width, dgate.Row<T>(row),
                  dup.Row<T>(row));
    }
  });
}

template void SwigluForwardCpu<float>(const RowPieces&, const RowPieces&, TensorView, Stream&);
template void SwigluBackwardCpu<float>(const RowPieces&, const RowPieces&, ConstTensorView,
                                       TensorView, TensorView, Stream&);

}  // namespace alchemist
