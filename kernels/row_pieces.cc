#include "kernels/row_pieces.h"

#include <algorithm>

#include "base/logging.h"

namespace alchemist {

void RowPieces::Append(ConstTensorView piece) {
  if (piece.rows == 0) return;
  if (!pieces_.empty()) {
    CHECK_EQ(piece.width, width());
    CHECK(piece.dtype == dtype()) << DTypeName(piece.dtype) << " after " << DTypeName(dtype());
  }
  pieces_.push_back(piece);
  first_rows_.push_back(rows_);
  rows_ += piece.rows;
}

size_t RowPieces::PieceOf(int64_t row) const {
  DCHECK(row >= 0 && row < rows_) << row << " of " << rows_;
  return std::upper_bound(first_rows_.begin(), first_rows_.end(), row) - first_rows_.begin() - 1;
}

}  // namespace alchemist
