#include "kernels/swiglu.h"

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/swiglu_reference.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

TEST(SwigluReferenceTest, VjpIsTheComplexStepGradient) {
  Random random(1);
  using Complex = std::complex<double>;
  for (int i = 0; i < 100; ++i) {
    const double gate = 4 * random.Normal();
    const double up = random.Normal();
    const double dy = random.Normal();
    double dgate = 0;
    double dup = 0;
    SwigluReferenceVjp(gate, up, dy, &dgate, &dup);
    const auto loss = [&](const std::vector<Complex>& x) {
      return dy * SwigluReference<Complex>(x[0], x[1]);
    };
    constexpr int64_t kOperations = 16;
    ExpectSameGradient("dgate, dup", {dgate, dup}, ComplexStepGradient(loss, {gate, up}),
                       kOperations);
  }
}

template <typename T>
std::vector<T> ForwardReference(absl::Span<const float> gate, absl::Span<const float> up) {
  std::vector<T> y;
  for (size_t i = 0; i < gate.size(); ++i) y.push_back(SwigluReference<T>(gate[i], up[i]));
  return y;
}

template <typename T>
struct Gradients {
  std::vector<T> dgate;
  std::vector<T> dup;
};

template <typename T>
Gradients<T> BackwardReference(absl::Span<const float> gate, absl::Span<const float> up,
                               absl::Span<const float> dy) {
  const size_t size = gate.size();
  Gradients<T> gradients = {std::vector<T>(size), std::vector<T>(size)};
  for (size_t i = 0; i < size; ++i) {
    SwigluReferenceVjp<T>(gate[i], up[i], dy[i], &gradients.dgate[i], &gradients.dup[i]);
  }
  return gradients;
}

class SwigluTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, SwigluTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(SwigluTest, IsAsCloseToTheTruthAsThePlainLoop) {
  Random random(2);
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (int64_t width : {1, 24, 1536, 1539}) {
    SCOPED_TRACE(width);
    const TestMatrix gate = TestMatrix::Normal(64, width, &random, 4, GetParam());
    const TestMatrix up = TestMatrix::Normal(64, width, &random, 1, GetParam());
    const TestMatrix dy = TestMatrix::Normal(64, width, &random);
    TestMatrix y(64, width, 0, GetParam());
    SwigluForward(gate.view(), up.view(), y.view(), stream);
    ExpectWithinTwiceNaive("y", y.values(),
                           Stored(GetParam(), ForwardReference<float>(gate.values(), up.values())),
                           ForwardReference<double>(gate.values(), up.values()));
    TestMatrix dgate(64, width);
    TestMatrix dup(64, width);
    SwigluBackward(gate.view(), up.view(), dy.view(), dgate.view(), dup.view(), stream);
    const auto naive = BackwardReference<float>(gate.values(), up.values(), dy.values());
    const auto truth = BackwardReference<double>(gate.values(), up.values(), dy.values());
    ExpectWithinTwiceNaive("dgate", dgate.values(), naive.dgate, truth.dgate);
    ExpectWithinTwiceNaive("dup", dup.values(), naive.dup, truth.dup);
  }
}

TEST_P(SwigluTest, ARowsBitsDependOnThatRowOnly) {
  constexpr int64_t kRows = 512;
  constexpr int64_t kWidth = 147;
  Random random(3);
  const TestMatrix gate = TestMatrix::Normal(kRows, kWidth, &random, 1, GetParam());
  const TestMatrix up = TestMatrix::Normal(kRows, kWidth, &random, 1, GetParam());
  const TestMatrix dy = TestMatrix::Normal(kRows, kWidth, &random);
  WorkerPool pool({.threads = 1});
  Stream one(&pool);
  TestMatrix wanted_y(kRows, kWidth, 0, GetParam());
  TestMatrix wanted_dgate(kRows, kWidth);
  TestMatrix wanted_dup(kRows, kWidth);
  SwigluForward(gate.view(), up.view(), wanted_y.view(), one);
  SwigluBackward(gate.view(), up.view(), dy.view(), wanted_dgate.view(), wanted_dup.view(), one);
  ForEachCut(kRows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    TestMatrix y(kRows, kWidth, 0, GetParam());
    TestMatrix dgate(kRows, kWidth);
    TestMatrix dup(kRows, kWidth);
    RowPieces pieces;
    for (const auto& [first, count] : cut) {
      const ConstTensorView gate_rows = gate.view().Rows(first, count);
      const ConstTensorView up_rows = up.view().Rows(first, count);
      SwigluForward(gate_rows, up_rows, y.view().Rows(first, count), stream);
      SwigluBackward(gate_rows, up_rows, dy.view().Rows(first, count),
                     dgate.view().Rows(first, count), dup.view().Rows(first, count), stream);
      pieces.Append(gate_rows);
    }
    ExpectSameBits("y", y.values(), wanted_y.values());
    ExpectSameBits("dgate", dgate.values(), wanted_dgate.values());
    ExpectSameBits("dup", dup.values(), wanted_dup.values());
    SwigluForward(pieces, up.view(), y.view(), stream);  // Gate in pieces, up in one.
    ExpectSameBits("y of pieces", y.values(), wanted_y.values());
  });
}

TEST_P(SwigluTest, AGradientMayReplaceDy) {
  Random random(4);
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  const TestMatrix gate = TestMatrix::Normal(3, 50, &random, 1, GetParam());
  const TestMatrix up = TestMatrix::Normal(3, 50, &random, 1, GetParam());
  const TestMatrix dy = TestMatrix::Normal(3, 50, &random);
  TestMatrix dgate(3, 50);
  TestMatrix dup(3, 50);
  SwigluBackward(gate.view(), up.view(), dy.view(), dgate.view(), dup.view(), stream);
  TestMatrix other(3, 50);
  TestMatrix in_place = dy.Copy();
  SwigluBackward(gate.view(), up.view(), in_place.view(), in_place.view(), other.view(), stream);
  ExpectSameBits("dgate", in_place.values(), dgate.values());
  ExpectSameBits("dup", other.values(), dup.values());
  in_place = dy.Copy();
  SwigluBackward(gate.view(), up.view(), in_place.view(), other.view(), in_place.view(), stream);
  ExpectSameBits("dgate", other.values(), dgate.values());
  ExpectSameBits("dup", in_place.values(), dup.values());
}

TEST(SwigluRangeTest, LargeGatesNeitherOverflowNorVanish) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  TestMatrix gate(1, 4);
  const std::vector<float> gates = {-200.0f, -90.0f, 90.0f, 1e30f};
  std::copy(gates.begin(), gates.end(), gate.Row(0));
  const TestMatrix up(1, 4, 1.0f);
  TestMatrix y(1, 4);
  SwigluForward(gate.view(), up.view(), y.view(), stream);
  EXPECT_EQ(y.Row(0)[0], 0);
  EXPECT_LE(std::fabs(y.Row(0)[1]), 90 * std::exp(-88.0));
  EXPECT_EQ(y.Row(0)[2], 90.0f);
  EXPECT_EQ(y.Row(0)[3], 1e30f);
}

}  // namespace
}  // namespace alchemist
