#include "kernels/adamw.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/logging.h"
#include "kernels/adamw_cpu.h"
#include "kernels/adamw_reference.h"
#include "kernels/dispatch.h"
#include "kernels/row_tiles.h"

namespace alchemist {

double AdamWStep(const AdamWOptions& options, int64_t step, double gradient_scale,
                 ConstTensorView gradient, TensorView weights, TensorView first_moment,
                 TensorView second_moment, Stream& stream) {
  CHECK_GE(step, 1);
  CheckShape("AdamWStep weights", weights, weights.rows, weights.width, DType::kF32);
  CheckShape("AdamWStep gradient", gradient, weights.rows, weights.width, DType::kF32);
  CheckShape("AdamWStep first_moment", first_moment, weights.rows, weights.width, DType::kF32);
  CheckShape("AdamWStep second_moment", second_moment, weights.rows, weights.width, DType::kF32);
  if (weights.bytes() == 0) return 0;
  const AdamWStepConstants constants(options, step, gradient_scale);
  // Tiles are cut by size alone and summed in order: the result has the same bits on any pool.
  const int64_t elements = weights.rows * weights.width;
  const int64_t tiles = (elements + kElementsPerTile - 1) / kElementsPerTile;
  std::vector<double> change(tiles);
  stream.pool().ParallelFor(tiles, [&](int64_t tile) {
    const int64_t first = tile * kElementsPerTile;
    change[tile] =
        AdamWTileCpu(constants, gradient.Row<float>(0) + first,
                     std::min(kElementsPerTile, elements - first), weights.Row<float>(0) + first,
                     first_moment.Row<float>(0) + first, second_moment.Row<float>(0) + first);
  });
  return std::accumulate(change.begin(), change.end(), 0.0);
}

double SumOfSquares(ConstTensorView x) {
  CheckShape("SumOfSquares x", x, x.rows, x.width, DType::kF32);
  if (x.bytes() == 0) return 0;
  return SumOfSquaresCpu(x.Row<float>(0), x.rows * x.width);
}

}  // namespace alchemist
