#include "kernels/copy_rows.h"

#include <cstring>

#include "base/logging.h"
#include "kernels/bf16.h"
#include "kernels/row_tiles.h"

namespace alchemist {
namespace {

void RoundPiece(ConstTensorView from, TensorView to, Stream& stream) {
  ForEachRowTile(stream, from.rows, from.width, [&](int64_t first, int64_t count) {
    Round(from.Row<float>(first), count * from.width, to.Row<Bf16>(first));
  });
}

void CopyPiece(ConstTensorView from, TensorView to, Stream& stream) {
  const int64_t row_bytes = from.width * BytesPerElement(from.dtype);
  ForEachRowTile(stream, from.rows, from.width, [&](int64_t first, int64_t count) {
    std::memcpy(to.Rows(first, count).data, from.Rows(first, count).data, count * row_bytes);
  });
}

}  // namespace

void CopyRows(const RowPieces& x, TensorView y, Stream& stream) {
  CHECK_EQ(x.rows(), y.rows);
  int64_t row = 0;
  for (const ConstTensorView& piece : x.pieces()) {
    CHECK_EQ(piece.width, y.width);
    if (piece.dtype == y.dtype) {
      CopyPiece(piece, y.Rows(row, piece.rows), stream);
    } else {
      CHECK(piece.dtype == DType::kF32 && y.dtype == DType::kBf16)
          << DTypeName(piece.dtype) << " into " << DTypeName(y.dtype);
      RoundPiece(piece, y.Rows(row, piece.rows), stream);
    }
    row += piece.rows;
  }
}

TensorView SumsOf(TensorView y, TensorView scratch) {
  if (y.dtype == DType::kF32) return y;
  CHECK(scratch.dtype == DType::kF32) << DTypeName(scratch.dtype);
  CHECK_LE(y.rows * y.width, scratch.rows * scratch.width);
  return {scratch.data, y.rows, y.width, DType::kF32};
}

void StoreSums(ConstTensorView sums, TensorView y, Stream& stream) {
  if (sums.data != y.data) CopyRows(sums, y, stream);
}

void SetZero(TensorView y, Stream& stream) {
  const int64_t row_bytes = y.width * BytesPerElement(y.dtype);
  ForEachRowTile(stream, y.rows, y.width, [&](int64_t first, int64_t count) {
    std::memset(y.Rows(first, count).data, 0, count * row_bytes);
  });
}

}  // namespace alchemist
