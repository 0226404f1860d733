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

// Outputs [first, first + count) of `all`.
template <typename Weight>
void DecodeTile(DecodeArguments<Weight> all, int64_t first, int64_t count) {
  all.w += first * all.depth;
  all.y += first;
  all.outputs = count;
  if constexpr (sizeof(Weight) == sizeof(float)) {
    ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRowsF32)(all);
  } else {
    ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), DecodeRowsBf16)(all);
  }
}

// What the loops read of a weight in memory.
const float* Elements(const float* w) { return w; }
const uint16_t* Elements(const Bf16* w) { return &w->bits; }

}  // namespace

void DecodeProduct(ConstTensorView x, ConstTensorView w, TensorView y, Stream& stream) {
  if (x.rows == 0 || w.rows == 0) return;
  thread_local Scratch<float> scratch;
  const float* const x_f32 = AsF32(x, scratch);
  const int64_t rows_per_tile =
      std::max<int64_t>(1, kWeightsPerTile / std::max<int64_t>(1, w.width) / kDecodeOutputs) *
      kDecodeOutputs;
  DispatchDType("DecodeProduct", w.dtype, [&]<typename T>(T) {
    const DecodeArguments all = {.x = x_f32,
                                 .rows = x.rows,
                                 .w = Elements(w.Row<T>(0)),
                                 .outputs = w.rows,
                                 .depth = w.width,
                                 .y = y.Row<float>(0),
                                 .y_stride = y.width};
    stream.pool().ParallelFor((w.rows + rows_per_tile - 1) / rows_per_tile, [&](int64_t i) {
      const int64_t first = i * rows_per_tile;
      DecodeTile(all, first, std::min(rows_per_tile, w.rows - first));
    });
  });
}

}  // namespace alchemist
