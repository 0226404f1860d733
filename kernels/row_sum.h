// Sums over rows: the gradient of a bias.
#ifndef ALCHEMIST_KERNELS_ROW_SUM_H_
#define ALCHEMIST_KERNELS_ROW_SUM_H_

#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// sum[j] += x[t, j] for each t, ascending: any cut of the rows into calls, in order, gives
// the same bits.
void AddRowSum(ConstTensorView x,  // [rows, width] f32
               TensorView sum,     // [1, width] f32
               Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROW_SUM_H_
