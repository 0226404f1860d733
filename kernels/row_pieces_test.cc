#include "kernels/row_pieces.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "kernels/tensor_view.h"

namespace alchemist {
namespace {

TEST(RowPiecesTest, RowsOfAllPiecesAreOneMatrix) {
  float values[12] = {};
  const ConstTensorView all = {values, 6, 2, DType::kF32};
  RowPieces pieces;
  EXPECT_EQ(pieces.rows(), 0);
  pieces.Append(all.Rows(4, 2));
  pieces.Append(all.Rows(0, 0));  // Dropped.
  pieces.Append(all.Rows(0, 1));
  pieces.Append(all.Rows(1, 3));
  EXPECT_EQ(pieces.pieces().size(), 3u);
  EXPECT_EQ(pieces.rows(), 6);
  EXPECT_EQ(pieces.width(), 2);
  const int64_t wanted[] = {4, 5, 0, 1, 2, 3};
  for (int64_t row = 0; row < 6; ++row) {
    EXPECT_EQ(pieces.Row<float>(row), values + 2 * wanted[row]) << row;
  }
}

TEST(RowPiecesDeathTest, PiecesHaveOneWidthAndDType) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  float values[4] = {};
  RowPieces pieces = ConstTensorView{values, 2, 2, DType::kF32};
  EXPECT_DEATH(pieces.Append(ConstTensorView{values, 1, 3, DType::kF32}), "3 vs. 2");
  EXPECT_DEATH(pieces.Append(ConstTensorView{values, 1, 2, DType::kBf16}), "bf16 after f32");
}

}  // namespace
}  // namespace alchemist
