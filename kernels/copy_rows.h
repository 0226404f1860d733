// Copies: rows from pieces into one matrix, rounded where it stores less, and zeros.
#ifndef ALCHEMIST_KERNELS_COPY_ROWS_H_
#define ALCHEMIST_KERNELS_COPY_ROWS_H_

#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y = x. REQUIRES: the same shape; the same type, or x f32 and y bf16: this is how the sums of a
// tensor are stored. They do not overlap.
void CopyRows(const RowPieces& x,  // [rows, width]
              TensorView y,        // [rows, width]
              Stream& stream);

// Where the f32 sums of `y` are made: y itself when it is f32, else the beginning of `scratch`, f32
// with room for as many elements. StoreSums then brings them to y.
TensorView SumsOf(TensorView y, TensorView scratch);
void StoreSums(ConstTensorView sums,  // What SumsOf returned.
               TensorView y, Stream& stream);

// Every element of y becomes 0.
void SetZero(TensorView y, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_COPY_ROWS_H_
