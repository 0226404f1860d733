// ProductTile: a part of a product, made by the thread that is given it and still in its caches:
// whoever wants the product finishes it there. Valid during the call.
#ifndef ALCHEMIST_KERNELS_PRODUCT_TILE_H_
#define ALCHEMIST_KERNELS_PRODUCT_TILE_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct ProductTile {
  int64_t product = 0;  // Of those of the call.
  int64_t first_row = 0;
  int64_t first_column = 0;
  TensorView sums;  // [rows, columns] f32, to be changed at will
};

// Called once for every element of the call's products, on the pool's threads.
using FinishTile = absl::FunctionRef<void(const ProductTile& tile)>;

// y (+)= the tile, at its place.
void MoveTile(const ProductTile& tile, TensorView y, bool add);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_PRODUCT_TILE_H_
