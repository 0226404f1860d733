// RowPieces: rows that belong together but lie in several dense pieces (the runs of a record, the
// pieces of a batch), read as one [rows, width] matrix. Plain value; owns nothing.
#ifndef ALCHEMIST_KERNELS_ROW_PIECES_H_
#define ALCHEMIST_KERNELS_ROW_PIECES_H_

#include <cstdint>
#include <vector>

#include "kernels/tensor_view.h"

namespace alchemist {

class RowPieces {
 public:
  RowPieces() = default;
  RowPieces(ConstTensorView piece) { Append(piece); }  // NOLINT: one piece is the common case.
  RowPieces(TensorView piece) { Append(piece); }       // NOLINT: the same.

  // REQUIRES: the same width and dtype as the pieces before it. Empty pieces are dropped.
  void Append(ConstTensorView piece);

  const std::vector<ConstTensorView>& pieces() const { return pieces_; }
  int64_t rows() const { return rows_; }
  int64_t width() const { return pieces_.empty() ? 0 : pieces_[0].width; }
  DType dtype() const { return pieces_.empty() ? DType::kF32 : pieces_[0].dtype; }

  // The row at `row`, found by bisection. REQUIRES: 0 <= row < rows().
  template <typename T>
  const T* Row(int64_t row) const {
    const size_t piece = PieceOf(row);
    return pieces_[piece].Row<T>(row - first_rows_[piece]);
  }

 private:
  size_t PieceOf(int64_t row) const;

  std::vector<ConstTensorView> pieces_;
  std::vector<int64_t> first_rows_;  // Of each piece.
  int64_t rows_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROW_PIECES_H_
