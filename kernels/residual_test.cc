#include "kernels/residual.h"

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/stream.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

constexpr int64_t kRows = 512;
constexpr int64_t kWidth = 99;

TEST(GatherRowsTest, RowsMayRepeatAndComeInAnyOrder) {
  Random random(2);
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const DType dtype : kDTypesForTest) {
    const TestMatrix x = TestMatrix::Normal(kRows, kWidth, &random, 1, dtype);
    std::vector<int32_t> rows(2 * kRows);
    for (int32_t& row : rows) row = static_cast<int32_t>(random.Below(kRows));
    TestMatrix y(2 * kRows, kWidth, 0, dtype);
    GatherRows(x.view(), rows, y.view(), stream);
    const absl::Span<const float> from = x.values(), to = y.values();
    for (int64_t i = 0; i < y.rows(); ++i) {
      ExpectSameBits("row", to.subspan(i * kWidth, kWidth), from.subspan(rows[i] * kWidth, kWidth));
    }
  }
}

TEST(ScatterAddRowsTest, AddsToTheNamedRowsInOrderAndLeavesTheOthers) {
  constexpr int64_t kWidth = 600;  // Three strips of columns.
  Random random(3);
  const TestMatrix x = TestMatrix::Normal(kRows / 2, kWidth, &random);
  const TestMatrix before = TestMatrix::Normal(kRows, kWidth, &random);
  std::vector<int32_t> rows;  // Every third one again and again.
  for (int32_t i = 0; i < x.rows(); ++i) {
    rows.push_back(i % 3 == 0 ? 7 : static_cast<int32_t>(kRows) - 2 - i);
  }
  TestMatrix wanted = before.Copy();
  for (int64_t i = 0; i < x.rows(); ++i) {
    for (int64_t j = 0; j < kWidth; ++j) wanted.Row(rows[i])[j] += x.Row(i)[j];
  }
  ForEachCut(x.rows(), [&](const std::vector<RowCut>& cut, Stream& stream) {
    TestMatrix y = before.Copy();
    for (const auto& [first, count] : cut) {
      ScatterAddRows(x.view().Rows(first, count), absl::MakeConstSpan(rows).subspan(first, count),
                     y.view(), stream);
    }
    ExpectSameBits("y", y.values(), wanted.values());
  });
}

TEST(ResidualDeathTest, RowsMustExist) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  TestMatrix x(2, 3);
  TestMatrix y(1, 3);
  EXPECT_DEATH(GatherRows(x.view(), {2}, y.view(), stream), "no row 2 of 2");
  EXPECT_DEATH(ScatterAddRows(y.view(), {-1}, x.view(), stream), "no row -1 of 2");
}

}  // namespace
}  // namespace alchemist
