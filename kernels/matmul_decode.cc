#include "kernels/matmul_decode.h"

#include <algorithm>

#include "base/logging.h"
#include "kernels/matmul_decode_simd.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

// Weights of one tile: some 10 us of reading.
constexpr int64_t kWeightsPerTile = 32768;

}  // namespace

void DecodeProduct(ConstTensorView x, ConstTensorView w, TensorView y, Stream& stream) {
  if (x.rows == 0 || w.rows == 0) return;
  const auto decode_rows = ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRows);
  const int64_t rows_per_tile =
      std::max<int64_t>(1, kWeightsPerTile / std::max<int64_t>(1, w.width) / kDecodeOutputs) *
      kDecodeOutputs;
  stream.pool().ParallelFor((w.rows + rows_per_tile - 1) / rows_per_tile, [&](int64_t i) {
    const int64_t first = i * rows_per_tile;
    const int64_t count = std::min(rows_per_tile, w.rows - first);
    decode_rows({.x = x.Row<float>(0),
                 .rows = x.rows,
                 .w = w.Row<float>(first),
                 .outputs = count,
                 .depth = w.width,
                 .y = y.Row<float>(0) + first,
                 .y_stride = y.width});
  });
}

}  // namespace alchemist
