#include "kernels/lora_down.h"

#include "kernels/accumulate.h"
#include "kernels/bf16.h"
#include "kernels/row_tiles.h"
#include "kernels/scratch.h"

namespace alchemist {

void ForEachLoraTile(Stream& stream, int64_t rows,
                     absl::FunctionRef<void(int64_t first, int64_t count)> tile) {
  constexpr int64_t kRowsPerTile = 32;
  ForEachRowTile(stream, rows, 1, tile, kRowsPerTile);
}

void LoraDown(ConstTensorView x, const ThinMatrix& m, float scale, TensorView u) {
  thread_local Scratch<float> scratch;
  ThinProduct({AsF32(x, scratch), x.rows, x.width, DType::kF32}, m, u, Accumulate::kNo);
  Scale(scale, u);
}

void Scale(float scale, TensorView x) {
  for (int64_t t = 0; t < x.rows; ++t) {
    float* const row = x.Row<float>(t);
    for (int64_t j = 0; j < x.width; ++j) row[j] *= scale;
  }
}

}  // namespace alchemist
