// The copies that need no arithmetic: rows from pieces into pieces, and zeros.
#ifndef ALCHEMIST_KERNELS_COPY_ROWS_H_
#define ALCHEMIST_KERNELS_COPY_ROWS_H_

#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// y = x. REQUIRES: the same shape and dtype; they do not overlap.
void CopyRows(const RowPieces& x,  // [rows, width]
              TensorView y,        // [rows, width]
              Stream& stream);

// Every element of y becomes 0.
void SetZero(TensorView y, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_COPY_ROWS_H_
