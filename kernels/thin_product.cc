#include "kernels/thin_product.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/simd_level.h"
#include "kernels/thin_product_simd.h"

namespace alchemist {
namespace {

int64_t StrideOf(int64_t columns) {
  return (columns + kThinGranule - 1) / kThinGranule * kThinGranule;
}

// Room for rows of `columns` elements, with zeros behind them.
float* RoomFor(int64_t rows, int64_t columns, Scratch<float>& scratch) {
  const int64_t stride = StrideOf(columns);
  float* const copy = scratch.Get(rows * stride);
  for (int64_t row = 0; row < rows; ++row) {
    std::fill(copy + row * stride + columns, copy + (row + 1) * stride, 0.0f);
  }
  return copy;
}

}  // namespace

ThinMatrix Thin(ConstTensorView m, Scratch<float>& scratch) {
  const int64_t stride = StrideOf(m.width);
  if (stride == m.width) return {m.Row<float>(0), m.rows, m.width, stride};
  float* const copy = RoomFor(m.rows, m.width, scratch);
  for (int64_t row = 0; row < m.rows; ++row) {
    std::copy_n(m.Row<float>(row), m.width, copy + row * stride);
  }
  return {copy, m.rows, m.width, stride};
}

ThinMatrix ThinTransposed(ConstTensorView m, Scratch<float>& scratch) {
  const int64_t stride = StrideOf(m.rows);
  float* const copy = RoomFor(m.width, m.rows, scratch);
  const float* const from = m.Row<float>(0);
  // Blocks that stay in the first-level cache, whichever side is the long one.
  constexpr int64_t kBlock = 16;
  for (int64_t first_row = 0; first_row < m.rows; first_row += kBlock) {
    const int64_t rows = std::min(kBlock, m.rows - first_row);
    for (int64_t first = 0; first < m.width; first += kBlock) {
      const int64_t end = std::min(first + kBlock, m.width);
      for (int64_t j = first; j < end; ++j) {
        float* const to = copy + j * stride + first_row;
        for (int64_t i = 0; i < rows; ++i) to[i] = from[(first_row + i) * m.width + j];
      }
    }
  }
  return {copy, m.width, m.rows, stride};
}

void ThinProduct(ConstTensorView x, const ThinMatrix& m, TensorView y, Accumulate accumulate) {
  CheckShape("ThinProduct x", x, x.rows, m.depth, DType::kF32);
  CheckShape("ThinProduct y", y, x.rows, m.columns, DType::kF32);
  ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), ThinRows)
  ({.x = x.Row<float>(0),
    .rows = x.rows,
    .depth = m.depth,
    .m = m.data,
    .m_stride = m.stride,
    .columns = m.columns,
    .y = y.Row<float>(0),
    .y_stride = y.width,
    .add = accumulate == Accumulate::kYes});
}

}  // namespace alchemist
