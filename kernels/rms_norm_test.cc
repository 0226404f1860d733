#include "kernels/rms_norm.h"

#include <complex>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/accumulate.h"
#include "kernels/rms_norm_reference.h"
#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

constexpr float kEpsilon = 1e-5f;

TEST(RmsNormReferenceTest, VjpIsTheComplexStepGradient) {
  constexpr int64_t kWidth = 24;
  Random random(1);
  const std::vector<double> x = TestMatrix::Normal(1, kWidth, &random).AsDouble();
  const std::vector<double> gamma = TestMatrix::Normal(1, kWidth, &random).AsDouble();
  const std::vector<double> dy = TestMatrix::Normal(1, kWidth, &random).AsDouble();
  std::vector<double> dx(kWidth, 0);
  std::vector<double> dgamma(kWidth, 0);
  RmsNormReferenceVjp(x.data(), gamma.data(), kWidth, kEpsilon, dy.data(), dx.data(),
                      dgamma.data());
  using Complex = std::complex<double>;
  const auto loss = [&](const std::vector<Complex>& x, const std::vector<Complex>& gamma) {
    std::vector<Complex> y(kWidth);
    RmsNormReference(x.data(), gamma.data(), kWidth, kEpsilon, y.data());
    Complex sum = 0;
    for (int64_t i = 0; i < kWidth; ++i) sum += dy[i] * y[i];
    return sum;
  };
  const std::vector<Complex> complex_x(x.begin(), x.end());
  const std::vector<Complex> complex_gamma(gamma.begin(), gamma.end());
  const auto of_x = [&](const std::vector<Complex>& point) { return loss(point, complex_gamma); };
  const auto of_gamma = [&](const std::vector<Complex>& point) { return loss(complex_x, point); };
  ExpectSameGradient("dx", dx, ComplexStepGradient(of_x, x), 2 * kWidth);
  ExpectSameGradient("dgamma", dgamma, ComplexStepGradient(of_gamma, gamma), 2 * kWidth);
}

struct Case {
  int64_t rows = 0;
  int64_t groups = 0;
  int64_t width = 0;
};
// Layer norms and q/k norms; widths that fill the vectors and widths that do not; more than a tile.
constexpr Case kCases[] = {{3, 1, 64}, {5, 1, 77}, {37, 9, 64}, {4, 3, 5}, {2, 1, 70'001}};

template <typename T>
std::vector<T> ForwardReference(const Case& c, const TestMatrix& x, const TestMatrix& gamma) {
  const std::vector<T> x_values(x.values().begin(), x.values().end());
  const std::vector<T> gamma_values(gamma.values().begin(), gamma.values().end());
  std::vector<T> y(x_values.size());
  for (int64_t group = 0; group < c.rows * c.groups; ++group) {
    RmsNormReference(x_values.data() + group * c.width, gamma_values.data(), c.width, kEpsilon,
                     y.data() + group * c.width);
  }
  return y;
}

template <typename T>
struct Gradients {
  std::vector<T> dx;
  std::vector<T> dgamma;
};

// Added to zeros.
template <typename T>
Gradients<T> BackwardReference(const Case& c, const TestMatrix& x, const TestMatrix& gamma,
                               const TestMatrix& dy) {
  const std::vector<T> x_values(x.values().begin(), x.values().end());
  const std::vector<T> gamma_values(gamma.values().begin(), gamma.values().end());
  const std::vector<T> dy_values(dy.values().begin(), dy.values().end());
  Gradients<T> gradients = {std::vector<T>(x_values.size(), 0), std::vector<T>(c.width, 0)};
  for (int64_t group = 0; group < c.rows * c.groups; ++group) {
    const int64_t offset = group * c.width;
    RmsNormReferenceVjp(x_values.data() + offset, gamma_values.data(), c.width, kEpsilon,
                        dy_values.data() + offset, gradients.dx.data() + offset,
                        gradients.dgamma.data());
  }
  return gradients;
}

class RmsNormTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, RmsNormTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(RmsNormTest, IsAsCloseToTheTruthAsThePlainLoop) {
  Random random(2);
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.groups << " x " << c.width);
    const TestMatrix x = TestMatrix::Normal(c.rows, c.groups * c.width, &random, 3, GetParam());
    const TestMatrix gamma = TestMatrix::Normal(1, c.width, &random, 1, GetParam());
    const TestMatrix dy = TestMatrix::Normal(c.rows, c.groups * c.width, &random);
    for (DType y_dtype : {GetParam(), DType::kF32}) {
      TestMatrix y(c.rows, c.groups * c.width, 0, y_dtype);
      RmsNormForward(x.view(), gamma.view(), kEpsilon, y.view(), stream);
      ExpectWithinTwiceNaive("y", y.values(), Stored(y_dtype, ForwardReference<float>(c, x, gamma)),
                             ForwardReference<double>(c, x, gamma));
    }

    TestMatrix dx(c.rows, c.groups * c.width);
    TestMatrix dgamma(1, c.width);
    RmsNormBackward(x.view(), gamma.view(), kEpsilon, dy.view(), dx.view(), Accumulate::kNo,
                    dgamma.view(), stream);
    const auto naive = BackwardReference<float>(c, x, gamma, dy);
    const auto truth = BackwardReference<double>(c, x, gamma, dy);
    ExpectWithinTwiceNaive("dx", dx.values(), naive.dx, truth.dx);
    ExpectWithinTwiceNaive("dgamma", dgamma.values(), naive.dgamma, truth.dgamma);
  }
}

TEST_P(RmsNormTest, ARowsBitsDependOnThatRowOnly) {
  constexpr int64_t kRows = 512;
  constexpr int64_t kWidth = 200;
  Random random(3);
  const TestMatrix x = TestMatrix::Normal(kRows, kWidth, &random, 1, GetParam());
  const TestMatrix gamma = TestMatrix::Normal(1, kWidth / 2, &random, 1, GetParam());
  const TestMatrix dy = TestMatrix::Normal(kRows, kWidth, &random);
  WorkerPool pool({.threads = 1});
  Stream one(&pool);
  TestMatrix wanted_y(kRows, kWidth, 0, GetParam());
  TestMatrix wanted_dx(kRows, kWidth);
  TestMatrix wanted_dgamma(1, kWidth / 2);
  RmsNormForward(x.view(), gamma.view(), kEpsilon, wanted_y.view(), one);
  RmsNormBackward(x.view(), gamma.view(), kEpsilon, dy.view(), wanted_dx.view(), Accumulate::kNo,
                  wanted_dgamma.view(), one);
  ForEachCut(kRows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    TestMatrix y(kRows, kWidth, 0, GetParam());
    TestMatrix dx(kRows, kWidth);
    TestMatrix dgamma(1, kWidth / 2);
    for (const auto& [first, count] : cut) {
      const ConstTensorView rows = x.view().Rows(first, count);
      RmsNormForward(rows, gamma.view(), kEpsilon, y.view().Rows(first, count), stream);
      RmsNormBackward(rows, gamma.view(), kEpsilon, dy.view().Rows(first, count),
                      dx.view().Rows(first, count), Accumulate::kNo, dgamma.view(), stream);
    }
    ExpectSameBits("y", y.values(), wanted_y.values());
    ExpectSameBits("dx", dx.values(), wanted_dx.values());
    ExpectSameBits("dgamma", dgamma.values(), wanted_dgamma.values());
    RowPieces pieces;  // The same rows, in one call.
    for (const auto& [first, count] : cut) pieces.Append(x.view().Rows(first, count));
    RmsNormForward(pieces, gamma.view(), kEpsilon, y.view(), stream);
    ExpectSameBits("y of pieces", y.values(), wanted_y.values());
  });
}

TEST_P(RmsNormTest, WorksInPlaceAndAccumulates) {
  Random random(4);
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  const TestMatrix x = TestMatrix::Normal(3, 50, &random, 1, GetParam());
  const TestMatrix gamma = TestMatrix::Normal(1, 50, &random, 1, GetParam());
  const TestMatrix dy = TestMatrix::Normal(3, 50, &random);
  TestMatrix y(3, 50, 0, GetParam());
  RmsNormForward(x.view(), gamma.view(), kEpsilon, y.view(), stream);
  TestMatrix in_place = x.Copy();
  RmsNormForward(in_place.view(), gamma.view(), kEpsilon, in_place.view(), stream);
  ExpectSameBits("in place", in_place.values(), y.values());

  TestMatrix gradient(3, 50);
  RmsNormBackward(x.view(), gamma.view(), kEpsilon, dy.view(), gradient.view(), Accumulate::kNo, {},
                  stream);
  TestMatrix sum(3, 50, 1.0f);
  RmsNormBackward(x.view(), gamma.view(), kEpsilon, dy.view(), sum.view(), Accumulate::kYes, {},
                  stream);
  for (float& value : gradient.mutable_values()) value = 1.0f + value;
  ExpectSameBits("accumulated", sum.values(), gradient.values());
}

TEST(RmsNormDeathTest, RefusesTypesAndShapesItHasNoKernelFor) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  TestMatrix x(2, 6);
  TestMatrix gamma(1, 4);
  EXPECT_DEATH(RmsNormForward(x.view(), gamma.view(), kEpsilon, x.view(), stream),
               "groups of 4 in rows of 6");
  const TensorView f16 = {x.view().data, 2, 6, DType::kF16};
  const ConstTensorView f16_gamma = {gamma.view().data, 1, 3, DType::kF16};
  EXPECT_DEATH(RmsNormForward(f16, f16_gamma, kEpsilon, f16, stream),
               "RmsNormForward has no kernel for f16");
}

}  // namespace
}  // namespace alchemist
