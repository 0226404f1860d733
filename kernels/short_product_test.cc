#include "kernels/short_product.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/bf16.h"
#include "kernels/simd_level.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

struct Types {
  DType x, w;
  SimdLevel level;
};

std::string Name(const Types& types) {
  return absl::StrCat(DTypeName(types.x), "By", DTypeName(types.w));
}

class ShortProductTest : public testing::TestWithParam<Types> {
 protected:
  void SetUp() override {
    const SimdLevel level = GetParam().level;
    if (!IsSupported(level)) GTEST_SKIP() << "no " << SimdLevelName(level) << " here";
    SetSimdLevelForTest(level);
  }
  void TearDown() override { SetSimdLevelForTest(before_); }

 private:
  const SimdLevel before_ = CurrentSimdLevel();
};
INSTANTIATE_TEST_SUITE_P(Types, ShortProductTest,
                         testing::Values(Types{DType::kF32, DType::kF32, SimdLevel::kAvx512},
                                         Types{DType::kF32, DType::kBf16, SimdLevel::kAvx512},
                                         Types{DType::kBf16, DType::kBf16, SimdLevel::kAvx512Bf16}),
                         [](const auto& info) { return Name(info.param); });

// x and W are wider than what is multiplied, as the parts of long sums are.
struct Problem {
  Problem(const Types& types, int64_t rows, int64_t outputs, int64_t depth)
      : rows(rows),
        outputs(outputs),
        depth(depth),
        stride(depth + 64),
        random(outputs + depth),
        x(TestMatrix::Normal(rows, stride, &random, 1, types.x)),
        w(TestMatrix::Normal(outputs, stride, &random, 1, types.w)) {}

  TestMatrix Multiply(int64_t first, int64_t count, int64_t part) const {
    TestMatrix y(count, outputs, 7.0f);  // To be overwritten.
    const ConstTensorView rows = x.view().Rows(first, count), weights = w.view();
    ShortProduct({rows.data, rows.dtype, stride, weights.data, weights.dtype, stride, depth}, part,
                 y.view());
    return y;
  }

  // In parts of `part` terms, one element after the other.
  template <typename T>
  std::vector<T> Reference(int64_t part) const {
    std::vector<T> y(rows * outputs, T(0));
    const absl::Span<const float> x_values = x.values(), w_values = w.values();
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t n = 0; n < outputs; ++n) {
        for (int64_t first = 0; first < depth; first += part) {
          T sum = T(0);
          for (int64_t k = first; k < std::min(first + part, depth); ++k) {
            sum += T(x_values[t * stride + k]) * T(w_values[n * stride + k]);
          }
          y[t * outputs + n] += sum;
        }
      }
    }
    return y;
  }

  const int64_t rows, outputs, depth, stride;
  Random random;
  const TestMatrix x, w;
};

// One panel and several, with and without a single vector of outputs at the end; sums in one part,
// in several, and with a rest.
TEST_P(ShortProductTest, IsAsExactAsThePlainLoops) {
  for (const auto& [outputs, depth, part] :
       {std::tuple{16, 32, 512}, {48, 96, 512}, {64, 576, 512}, {80, 1312, 512}, {32, 320, 64}}) {
    SCOPED_TRACE(absl::StrCat(outputs, " outputs of ", depth, " terms in parts of ", part));
    const Problem problem(GetParam(), 13, outputs, depth);
    ExpectWithinTwiceNaive("y", problem.Multiply(0, 13, part).values(),
                           problem.Reference<float>(part), problem.Reference<double>(part));
  }
}

TEST_P(ShortProductTest, ARowDependsOnThatRowAlone) {
  const Problem problem(GetParam(), kShortRowsMax, 48, 608);
  const TestMatrix all = problem.Multiply(0, kShortRowsMax, 512);
  for (const auto& [first, count] : {std::pair{0, 1},
                                     {63, 1},
                                     {5, 3},
                                     {30, 4},
                                     {1, 7},
                                     {17, 8},
                                     {9, 16},
                                     {3, 29},
                                     {0, 48},
                                     {1, 63}}) {
    SCOPED_TRACE(absl::StrCat("rows ", first, " + ", count));
    ExpectSameBits("y", problem.Multiply(first, count, 512).values(),
                   all.values().subspan(first * 48, count * 48));
  }
}

// Sums of a part are rounded before they are added: 2^24 + 1 is lost within a part, not between.
TEST_P(ShortProductTest, PartsAreSummedByThemselves) {
  TestMatrix x(1, 64, 1.0f, GetParam().x), w(16, 64, 0.0f, GetParam().w);
  const auto set = [&](int64_t k, float value) {
    const TensorView view = w.view();
    for (int64_t n = 0; n < 16; ++n) {
      if (view.dtype == DType::kF32) {
        view.Row<float>(n)[k] = value;
      } else {
        view.Row<Bf16>(n)[k] = ToBf16(value);
      }
    }
  };
  set(0, 0x1p24f);
  set(33, 1.0f);
  set(36, 1.0f);
  const auto product = [&](int64_t part) {
    TestMatrix y(1, 16);
    ShortProduct({x.view().data, GetParam().x, 64, w.view().data, GetParam().w, 64, 64}, part,
                 y.view());
    return y.values()[15];
  };
  EXPECT_EQ(product(64), 0x1p24f);
  EXPECT_EQ(product(32), 0x1p24f + 2);
}

// What a bf16 model runs where bf16 is widened, against what the self-test tries.
TEST(ShortProductOfWidenedTest, WeightsAreWidenedExactly) {
  const SimdLevel before = CurrentSimdLevel();
  if (!IsSupported(SimdLevel::kAvx512)) GTEST_SKIP() << "no AVX-512 here";
  SetSimdLevelForTest(SimdLevel::kAvx512);
  Random random(1);
  const TestMatrix x = TestMatrix::Normal(7, 96, &random);
  const TestMatrix w = TestMatrix::Normal(48, 96, &random, 1, DType::kBf16);
  TestMatrix stored(7, 48), widened(7, 48);
  ShortProduct({x.view().data, DType::kF32, 96, w.view().data, DType::kBf16, 96, 96}, 512,
               stored.view());
  ShortProduct({x.view().data, DType::kF32, 96, w.values().data(), DType::kF32, 96, 96}, 512,
               widened.view());
  ExpectSameBits("y", stored.values(), widened.values());
  SetSimdLevelForTest(before);
}

TEST(HasShortProductTest, AsksForWholeVectorsOfMatchingTypes) {
  const SimdLevel before = CurrentSimdLevel();
  if (!IsSupported(SimdLevel::kAvx512)) GTEST_SKIP() << "no AVX-512 here";
  SetSimdLevelForTest(SimdLevel::kAvx512);
  const ShortOperands f32 = {.x_stride = 64, .w_type = DType::kBf16, .w_stride = 64, .depth = 32};
  EXPECT_TRUE(HasShortProduct(f32, 16));
  EXPECT_FALSE(HasShortProduct(f32, 24));
  const auto has = [&](auto change) {
    ShortOperands changed = f32;
    change(changed);
    return HasShortProduct(changed, 16);
  };
  EXPECT_FALSE(has([](auto& o) { o.depth = 48; }));
  EXPECT_FALSE(has([](auto& o) { o.x_stride = 31; }));
  EXPECT_FALSE(has([](auto& o) { o.w_stride = 31; }));
  EXPECT_FALSE(has([](auto& o) { o.w_type = DType::kF16; }));
  EXPECT_FALSE(has([](auto& o) { o.x_type = DType::kBf16; })) << "needs AVX-512 BF16";
  if (IsSupported(SimdLevel::kAvx512Bf16)) {
    SetSimdLevelForTest(SimdLevel::kAvx512Bf16);
    EXPECT_TRUE(has([](auto& o) { o.x_type = DType::kBf16; }));
    EXPECT_FALSE(has([](auto& o) { o.x_type = o.w_type, o.x_stride = 65; }));
    EXPECT_FALSE(has([](auto& o) { o.x_type = o.w_type, o.w_type = DType::kF32; }));
  }
  SetSimdLevelForTest(SimdLevel::kAvx2);
  EXPECT_FALSE(HasShortProduct(f32, 16));
  SetSimdLevelForTest(before);
}

}  // namespace
}  // namespace alchemist
