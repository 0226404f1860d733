#include "kernels/tensor_view.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(TensorViewTest, BytesFollowTheDType) {
  const TensorView f32 = {nullptr, 3, 5, DType::kF32};
  const ConstTensorView bf16 = {nullptr, 3, 5, DType::kBf16};
  EXPECT_EQ(f32.bytes(), 60);
  EXPECT_EQ(bf16.bytes(), 30);
  EXPECT_STREQ(DTypeName(DType::kF16), "f16");
}

TEST(TensorViewTest, RowsAreAViewOfTheSameMemory) {
  float values[6] = {};
  const TensorView view = {values, 3, 2, DType::kF32};
  EXPECT_EQ(view.Row<float>(2), values + 4);
  EXPECT_EQ(view.Rows(1, 2).data, values + 2);
  EXPECT_EQ(view.Rows(1, 2).rows, 2);
  const ConstTensorView constant = view;
  EXPECT_EQ(constant.Rows(3, 0).rows, 0) << "an empty piece at the end";
}

}  // namespace
}  // namespace alchemist
