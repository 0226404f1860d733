#include "kernels/product_tile.h"

#include <cstring>

namespace alchemist {

void MoveTile(const ProductTile& tile, TensorView y, bool add) {
  const int64_t columns = tile.sums.width;
  for (int64_t t = 0; t < tile.sums.rows; ++t) {
    const float* const from = tile.sums.Row<float>(t);
    float* const to = y.Row<float>(tile.first_row + t) + tile.first_column;
    if (add) {
      for (int64_t j = 0; j < columns; ++j) to[j] += from[j];
    } else {
      std::memcpy(to, from, columns * sizeof(float));
    }
  }
}

}  // namespace alchemist
