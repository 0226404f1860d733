#include "kernels/testing.h"

#include <complex>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(TestMatrixTest, AnOverrunFailsTheTest) {
  EXPECT_NONFATAL_FAILURE({ TestMatrix(2, 3).Row(1)[3] = 0; }, "element 6");
  EXPECT_NONFATAL_FAILURE({ TestMatrix(2, 3).Row(0)[-1] = 0; }, "element -1");
  EXPECT_NONFATAL_FAILURE(
      {
        TestMatrix matrix(1, 1);
        matrix.Row(0)[1] = 0;
        matrix = TestMatrix(1, 1);
      },
      "was overrun");
}

TEST(TestMatrixTest, IsAlignedAndCopiesItsValues) {
  Random random(1);
  const TestMatrix matrix = TestMatrix::Normal(3, 5, &random);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix.Row(0)) % 64, 0u);
  ExpectSameBits("copy", matrix.Copy().values(), matrix.values());
}

TEST(TestMatrixTest, OfBf16HoldsRoundedValues) {
  Random random(1), again(1);
  const TestMatrix f32 = TestMatrix::Normal(3, 5, &random);
  const TestMatrix bf16 = TestMatrix::Normal(3, 5, &again, 1, DType::kBf16);
  EXPECT_EQ(bf16.view().bytes(), 3 * 5 * 2);
  ExpectSameBits("values", bf16.values(), Stored(DType::kBf16, f32.values()));
  ExpectSameBits("copy", bf16.Copy().values(), bf16.values());
}

TEST(TwiceNaiveTest, ComparesErrorsNotValues) {
  const std::vector<double> truth = {1, 2};
  ExpectWithinTwiceNaive("close", {1.02f, 2}, {1.01f, 2}, truth);
  EXPECT_NONFATAL_FAILURE(ExpectWithinTwiceNaive("far", {1.03f, 2}, {1.01f, 2}, truth), "far");
  EXPECT_NONFATAL_FAILURE(ExpectWithinTwiceNaive("NaN", {NAN, 2}, {1.01f, 2}, truth), "NaN");
}

TEST(SameBitsTest, TellsZerosApartAndNaNsEqual) {
  ExpectSameBits("NaN", {NAN}, {NAN});
  EXPECT_FATAL_FAILURE(ExpectSameBits("zeros", {0.0f}, {-0.0f}), "zeros");
}

TEST(ComplexStepTest, IsExactToRounding) {
  const auto cube = [](const std::vector<std::complex<double>>& x) { return x[0] * x[0] * x[0]; };
  const std::vector<double> gradient = ComplexStepGradient(cube, {3.0});
  ExpectSameGradient("cube", {27.0}, gradient, /*operations=*/4);
  EXPECT_NONFATAL_FAILURE(ExpectSameGradient("wrong", {27.0 + 1e-13}, gradient, 4), "wrong");
}

TEST(ForEachCutTest, EveryCutCoversAllRows) {
  int calls = 0;
  ForEachCut(100, [&](const std::vector<RowCut>& cut, Stream&) {
    ++calls;
    int64_t next = 0;
    for (const auto& [first, count] : cut) {
      EXPECT_EQ(first, next);
      EXPECT_GT(count, 0);
      next += count;
    }
    EXPECT_EQ(next, 100);
  });
  EXPECT_EQ(calls, 6) << "three cuts on two pools";
}

}  // namespace
}  // namespace alchemist
