// Products with a thin matrix, one of whose sides is an adapter's rank: oneDNN, made for square
// ones, reaches a quarter of its rate on them. On the calling thread.
//
// An element is the sum over the depth in order, with one rounding for each term where the CPU has
// fused multiply-adds: its bits depend on its row of x and its column of m alone.
#ifndef ALCHEMIST_KERNELS_THIN_PRODUCT_H_
#define ALCHEMIST_KERNELS_THIN_PRODUCT_H_

#include <cstdint>

#include "kernels/accumulate.h"
#include "kernels/scratch.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// [depth, columns] f32, its rows `stride` apart and readable to their end. Any thread may read it.
struct ThinMatrix {
  const float* data = nullptr;
  int64_t depth = 0;
  int64_t columns = 0;
  int64_t stride = 0;
};
// m itself, or a copy in `scratch` with longer rows.
ThinMatrix Thin(ConstTensorView m, Scratch<float>& scratch);
ThinMatrix ThinTransposed(ConstTensorView m, Scratch<float>& scratch);

// y (+)= x m.
void ThinProduct(ConstTensorView x,  // [rows, m.depth] f32
                 const ThinMatrix& m,
                 TensorView y,  // [rows, m.columns] f32
                 Accumulate accumulate);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_THIN_PRODUCT_H_
