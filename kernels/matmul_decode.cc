#include "kernels/matmul_decode.h"

#include <algorithm>

#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_decode_simd.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

// Weights of one tile: some 10 us of reading.
constexpr int64_t kWeightsPerTile = 32768;

// What the loops read of a weight in memory.
const float* Elements(const float* w) { return w; }
const uint16_t* Elements(const Bf16* w) { return &w->bits; }

template <typename T>
void DecodeRowsOf(ConstTensorView x, ConstTensorView w, TensorView y) {
  const DecodeArguments all = {.x = x.Row<float>(0),
                               .rows = x.rows,
                               .w = Elements(w.Row<T>(0)),
                               .outputs = w.rows,
                               .depth = w.width,
                               .y = y.Row<float>(0),
                               .y_stride = y.width};
  if constexpr (sizeof(T) == sizeof(float)) {
    ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRowsF32)(all);
  } else {
    ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRowsBf16)(all);
  }
}

}  // namespace

void DecodeRows(ConstTensorView x, ConstTensorView w, TensorView y) {
  CheckShape("DecodeRows x", x, x.rows, w.width, DType::kF32);
  CheckShape("DecodeRows y", y, x.rows, w.rows, DType::kF32);
  DispatchDType("DecodeRows", w.dtype, [&]<typename T>(T) { DecodeRowsOf<T>(x, w, y); });
}

void DecodeProduct(ConstTensorView x, ConstTensorView w, FinishTile finish, Stream& stream) {
  if (x.rows == 0 || w.rows == 0) return;
  thread_local Scratch<float> x_scratch;
  const ConstTensorView x_f32 = {AsF32(x, x_scratch), x.rows, x.width, DType::kF32};
  const int64_t outputs_per_tile =
      std::max<int64_t>(1, kWeightsPerTile / std::max<int64_t>(1, w.width) / kDecodeOutputs) *
      kDecodeOutputs;
  const int64_t tiles = (w.rows + outputs_per_tile - 1) / outputs_per_tile;
  stream.pool().ParallelFor(tiles, [&](int64_t i) {
    thread_local Scratch<float> scratch;
    const int64_t first = i * outputs_per_tile;
    const int64_t outputs = std::min(outputs_per_tile, w.rows - first);
    const TensorView sums = {scratch.Get(x.rows * outputs), x.rows, outputs, DType::kF32};
    DecodeRows(x_f32, w.Rows(first, outputs), sums);
    finish({0, first, sums});
  });
}

}  // namespace alchemist
