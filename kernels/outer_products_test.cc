#include "kernels/outer_products.h"

#include <cmath>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/simd_level.h"
#include "kernels/stream.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

struct Case {
  int64_t n = 0;
  int64_t m = 0;
};
// LoRA's two gradients, whole tiles, and edges of every kind.
constexpr Case kCases[] = {{16, 576}, {576, 16}, {64, 64}, {1, 1}, {9, 17}, {70, 129}};

// The header's promise, word by word.
std::vector<float> Reference(const TestMatrix& u, const TestMatrix& x, const TestMatrix& before) {
  std::vector<float> dst(before.values().begin(), before.values().end());
  const absl::Span<const float> x_values = x.values();
  for (int64_t t = 0; t < u.rows(); ++t) {
    for (int64_t i = 0; i < u.width(); ++i) {
      const float factor = u.Row(t)[i];
      for (int64_t j = 0; j < x.width(); ++j) {
        float& sum = dst[i * x.width() + j];
        sum = std::fma(factor, x_values[t * x.width() + j], sum);
      }
    }
  }
  return dst;
}

class OuterProductsTest : public testing::TestWithParam<DType> {};  // Of x.
INSTANTIATE_TEST_SUITE_P(Types, OuterProductsTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(OuterProductsTest, EveryVersionMakesTheBitsOfTheOrderedSum) {
  const SimdLevel before = CurrentSimdLevel();
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (!IsSupported(level)) continue;
    SCOPED_TRACE(SimdLevelName(level));
    SetSimdLevelForTest(level);
    for (const Case& c : kCases) {
      Random random(c.n);
      const TestMatrix u = TestMatrix::Normal(140, c.n, &random);
      const TestMatrix x = TestMatrix::Normal(140, c.m, &random, 1, GetParam());
      TestMatrix dst = TestMatrix::Normal(c.n, c.m, &random);
      const std::vector<float> wanted = Reference(u, x, dst);
      AccumulateOuterProducts(u.view(), x.view(), dst.view(), stream);
      ExpectSameBits("dst", dst.values(), wanted);
    }
  }
  SetSimdLevelForTest(before);
}

TEST_P(OuterProductsTest, AnyCutOfTheRowsIntoCallsMakesTheSameBits) {
  constexpr int64_t kRows = 300;
  Random random(1);
  const TestMatrix u = TestMatrix::Normal(kRows, 24, &random);
  const TestMatrix x = TestMatrix::Normal(kRows, 100, &random, 1, GetParam());
  const TestMatrix before = TestMatrix::Normal(24, 100, &random);
  const std::vector<float> wanted = Reference(u, x, before);
  ForEachCut(kRows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    TestMatrix dst = before.Copy();
    for (const auto& [first, count] : cut) {
      AccumulateOuterProducts(u.view().Rows(first, count), x.view().Rows(first, count), dst.view(),
                              stream);
    }
    ExpectSameBits("dst", dst.values(), wanted);
  });
}

}  // namespace
}  // namespace alchemist
