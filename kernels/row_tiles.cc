#include "kernels/row_tiles.h"

#include <algorithm>

namespace alchemist {

void ForEachRowTile(Stream& stream, int64_t rows, int64_t elements_per_row,
                    absl::FunctionRef<void(int64_t first, int64_t count)> tile,
                    int64_t elements_per_tile) {
  const int64_t rows_per_tile =
      std::max<int64_t>(1, elements_per_tile / std::max<int64_t>(1, elements_per_row));
  const int64_t tiles = (rows + rows_per_tile - 1) / rows_per_tile;
  stream.pool().ParallelFor(tiles, [&](int64_t i) {
    const int64_t first = i * rows_per_tile;
    tile(first, std::min(rows_per_tile, rows - first));
  });
}

}  // namespace alchemist
