#include "kernels/thin_product.h"

#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/accumulate.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

struct Shape {
  int64_t depth = 0;
  int64_t columns = 0;
};
// Ranks that fill vectors and ranks that do not, on either side.
constexpr Shape kShapes[] = {{576, 16}, {16, 576}, {61, 3}, {3, 101},
                             {96, 64},  {64, 96},  {1, 1},  {40, 33}};
constexpr int64_t kRows = 21;

template <typename T>
std::vector<T> Reference(const TestMatrix& x, const TestMatrix& m, const TestMatrix& y) {
  std::vector<T> sums(y.values().begin(), y.values().end());
  const int64_t depth = x.width(), columns = m.width();
  for (int64_t t = 0; t < kRows; ++t) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < columns; ++j) {
        sums[t * columns + j] += T(x.values()[t * depth + k]) * T(m.values()[k * columns + j]);
      }
    }
  }
  return sums;
}

TestMatrix TransposeOf(const TestMatrix& m, int64_t rows) {
  TestMatrix transposed(m.width(), rows);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < m.width(); ++j) {
      transposed.mutable_values()[j * rows + i] = m.values()[i * m.width() + j];
    }
  }
  return transposed;
}

class ThinProductTest : public testing::TestWithParam<SimdLevel> {
 protected:
  void SetUp() override {
    if (!IsSupported(GetParam())) GTEST_SKIP() << "no " << SimdLevelName(GetParam()) << " here";
    SetSimdLevelForTest(GetParam());
  }
  void TearDown() override { SetSimdLevelForTest(before_); }
  const SimdLevel before_ = CurrentSimdLevel();
};

TEST_P(ThinProductTest, IsAsExactAsThePlainLoopsAndKeepsRowsApart) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(std::to_string(shape.depth) + " by " + std::to_string(shape.columns));
    Random random(shape.depth + shape.columns);
    const TestMatrix x = TestMatrix::Normal(kRows, shape.depth, &random);
    const TestMatrix m = TestMatrix::Normal(shape.depth, shape.columns, &random);
    const TestMatrix before = TestMatrix::Normal(kRows, shape.columns, &random);
    const TestMatrix transposed = TransposeOf(m, shape.depth);
    Scratch<float> scratch, transposed_scratch;
    const ThinMatrix thin = Thin(m.const_view(), scratch);
    TestMatrix y = before.Copy();
    ThinProduct(x.view(), thin, y.view(), Accumulate::kYes);
    ExpectWithinTwiceNaive("y", y.values(), Reference<float>(x, m, before),
                           Reference<double>(x, m, before));

    TestMatrix again = before.Copy();
    ThinProduct(x.view(), ThinTransposed(transposed.const_view(), transposed_scratch), again.view(),
                Accumulate::kYes);
    ExpectSameBits("by the transposed matrix", again.values(), y.values());

    TestMatrix rows = before.Copy();
    for (const RowCut cut : {RowCut{0, 1}, RowCut{1, 5}, RowCut{6, 15}}) {
      ThinProduct(x.view().Rows(cut.first, cut.count), thin, rows.view().Rows(cut.first, cut.count),
                  Accumulate::kYes);
    }
    ExpectSameBits("in pieces", rows.values(), y.values());

    TestMatrix fresh = before.Copy(), zeros(kRows, shape.columns);
    ThinProduct(x.view(), thin, fresh.view(), Accumulate::kNo);
    ThinProduct(x.view(), thin, zeros.view(), Accumulate::kYes);
    ExpectSameBits("what y held does not matter", fresh.values(), zeros.values());
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, ThinProductTest,
                         testing::Values(SimdLevel::kPortable, SimdLevel::kAvx2,
                                         SimdLevel::kAvx512),
                         [](const auto& info) {
                           std::string name = SimdLevelName(info.param);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace alchemist
