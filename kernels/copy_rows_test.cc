#include "kernels/copy_rows.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

TEST(CopyRowsTest, PiecesOfUnevenLengthsBecomeOneMatrix) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  Random random(1);
  constexpr int64_t kWidth = 4099;  // Several tiles of rows.
  const TestMatrix x = TestMatrix::Normal(57, kWidth, &random);
  RowPieces pieces;
  for (const auto& [first, count] : {std::pair{0, 1}, {1, 31}, {32, 0}, {32, 25}}) {
    pieces.Append(x.view().Rows(first, count));
  }
  TestMatrix y(57, kWidth, 7.0f);
  CopyRows(pieces, y.view(), stream);
  ExpectSameBits("y", y.values(), x.values());
}

TEST(CopyRowsTest, F32RowsAreRoundedWhereBf16IsStored) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  Random random(2);
  const TestMatrix x = TestMatrix::Normal(57, 4099, &random);
  RowPieces pieces;
  for (const auto& [first, count] : {std::pair{0, 20}, {20, 37}}) {
    pieces.Append(x.view().Rows(first, count));
  }
  TestMatrix y(57, 4099, 7.0f, DType::kBf16);
  CopyRows(pieces, y.view(), stream);
  ExpectSameBits("y", y.values(), Stored(DType::kBf16, x.values()));
  TestMatrix copy(57, 4099, 7.0f, DType::kBf16);
  CopyRows(y.view(), copy.view(), stream);
  ExpectSameBits("copy", copy.values(), y.values());
}

TEST(CopyRowsTest, SumsAreMadeInPlaceOrRoundedOnce) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  Random random(3);
  TestMatrix scratch = TestMatrix::Normal(3, 8, &random);
  TestMatrix f32(2, 7), bf16(2, 7, 0, DType::kBf16);
  EXPECT_EQ(SumsOf(f32.view(), {}).data, f32.view().data);
  const TensorView sums = SumsOf(bf16.view(), scratch.view());
  EXPECT_EQ(sums.data, scratch.view().data);
  StoreSums(sums, bf16.view(), stream);
  ExpectSameBits("y", bf16.values(), Stored(DType::kBf16, scratch.values().subspan(0, 2 * 7)));
}

TEST(CopyRowsTest, SetZeroReachesEveryElementAndNoOther) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  TestMatrix y(100, 1001, 3.0f);  // Its sentinels guard the neighbours.
  SetZero(y.view(), stream);
  const TestMatrix zeros(100, 1001, 0.0f);
  ExpectSameBits("y", y.values(), zeros.values());
}

}  // namespace
}  // namespace alchemist
