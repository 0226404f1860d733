#include "kernels/rms_norm_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/row_tiles.h"
#include "kernels/scratch.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

ALCHEMIST_VECTOR_CLONES
float InverseRms(const float* x, int64_t width, float epsilon) {
  const float sum = SumInLanes<float>(width, [=](int64_t i) { return x[i] * x[i]; });
  return 1.0f / std::sqrt(sum / static_cast<float>(width) + epsilon);
}

// One group. x and y may be the same memory.
ALCHEMIST_VECTOR_CLONES
void Normalize(const float* x, const float* gamma, int64_t width, float inverse_rms, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < width; ++i) y[i] = x[i] * inverse_rms * gamma[i];
}

// One group; the formula is that of RmsNormReferenceVjp.
ALCHEMIST_VECTOR_CLONES
void InputGradient(const float* x, const float* gamma, int64_t width, float inverse_rms,
                   const float* dy, Accumulate accumulate, float* dx) {
  const float sum = SumInLanes<float>(width, [=](int64_t i) { return dy[i] * gamma[i] * x[i]; });
  const float pull = sum * inverse_rms * inverse_rms * inverse_rms / static_cast<float>(width);
  if (accumulate == Accumulate::kYes) {
#pragma GCC ivdep
    for (int64_t i = 0; i < width; ++i) {
      dx[i] += inverse_rms * gamma[i] * dy[i] - x[i] * pull;
    }
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < width; ++i) {
      dx[i] = inverse_rms * gamma[i] * dy[i] - x[i] * pull;
    }
  }
}

ALCHEMIST_VECTOR_CLONES
void AddGammaGradient(const float* x, const float* dy, int64_t width, float inverse_rms,
                      float* dgamma) {
#pragma GCC ivdep
  for (int64_t i = 0; i < width; ++i) dgamma[i] += dy[i] * x[i] * inverse_rms;
}

// dgamma's elements are sums over all rows: tiles of columns, each over the rows in order.
template <typename T>
void GammaGradient(const RowPieces& x, ConstTensorView dy, const std::vector<float>& inverse_rms,
                   TensorView dgamma, Stream& stream) {
  constexpr int64_t kColumns = 64;
  const int64_t width = dgamma.width;
  const int64_t groups = x.width() / width;
  stream.pool().ParallelFor((width + kColumns - 1) / kColumns, [&](int64_t tile) {
    const int64_t first = tile * kColumns;
    const int64_t columns = std::min(kColumns, width - first);
    for (int64_t row = 0; row < x.rows(); ++row) {
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t offset = group * width + first;
        float widened[kColumns];
        AddGammaGradient(AsF32(x.Row<T>(row) + offset, columns, widened),
                         dy.Row<float>(row) + offset, columns, inverse_rms[row * groups + group],
                         dgamma.Row<float>(0) + first);
      }
    }
  });
}

}  // namespace

template <typename T, typename Y>
void RmsNormForwardCpu(const RowPieces& x, ConstTensorView gamma, float epsilon, TensorView y,
                       Stream& stream) {
  const int64_t width = gamma.width;
  ForEachRowTile(stream, x.rows(), x.width(), [&](int64_t first, int64_t count) {
    thread_local Scratch<float> scratch;
    float* const rows = scratch.Get(2 * width);
    const float* const gamma_row = AsF32(gamma.Row<T>(0), width, rows);
    for (int64_t row = first; row < first + count; ++row) {
      for (int64_t offset = 0; offset < x.width(); offset += width) {
        const float* const group = AsF32(x.Row<T>(row) + offset, width, rows + width);
        float* const sums = SumsOf(y.Row<Y>(row) + offset, rows + width);
        Normalize(group, gamma_row, width, InverseRms(group, width, epsilon), sums);
        StoreSums(sums, width, y.Row<Y>(row) + offset);
      }
    }
  });
}

template <typename T>
void RmsNormBackwardCpu(const RowPieces& x, ConstTensorView gamma, float epsilon,
                        ConstTensorView dy, TensorView dx, Accumulate accumulate, TensorView dgamma,
                        Stream& stream) {
  const int64_t width = gamma.width;
  const int64_t groups = x.width() / width;
  std::vector<float> inverse_rms(x.rows() * groups);
  ForEachRowTile(stream, x.rows(), x.width(), [&](int64_t first, int64_t count) {
    thread_local Scratch<float> scratch;
    float* const rows = scratch.Get(2 * width);
    const float* const gamma_row = AsF32(gamma.Row<T>(0), width, rows);
    for (int64_t row = first; row < first + count; ++row) {
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t offset = group * width;
        const float* const x_group = AsF32(x.Row<T>(row) + offset, width, rows + width);
        const float inverse = InverseRms(x_group, width, epsilon);
        inverse_rms[row * groups + group] = inverse;
        InputGradient(x_group, gamma_row, width, inverse, dy.Row<float>(row) + offset, accumulate,
                      dx.Row<float>(row) + offset);
      }
    }
  });
  if (dgamma.data != nullptr) GammaGradient<T>(x, dy, inverse_rms, dgamma, stream);
}

template void RmsNormForwardCpu<float, float>(const RowPieces&, ConstTensorView, float, TensorView,
                                              Stream&);
template void RmsNormForwardCpu<Bf16, Bf16>(const RowPieces&, ConstTensorView, float, TensorView,
                                            Stream&);
template void RmsNormForwardCpu<Bf16, float>(const RowPieces&, ConstTensorView, float, TensorView,
                                             Stream&);
template void RmsNormBackwardCpu<float>(const RowPieces&, ConstTensorView, float, ConstTensorView,
                                        TensorView, Accumulate, TensorView, Stream&);
template void RmsNormBackwardCpu<Bf16>(const RowPieces&, ConstTensorView, float, ConstTensorView,
                                       TensorView, Accumulate, TensorView, Stream&);

}  // namespace alchemist
