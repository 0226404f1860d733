#include "kernels/matmul.h"

#include <algorithm>
#include <complex>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/accumulate.h"
#include "kernels/bf16.h"
#include "kernels/matmul_decode.h"
#include "kernels/matmul_reference.h"
#include "kernels/matmul_tiles.h"
#include "kernels/onednn.h"
#include "kernels/product_tile.h"
#include "kernels/simd_level.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

// The quickstart's and SmolLM2-135M's shapes, LoRA's, odd ones, and sums long enough to be split.
constexpr MatmulShape kShapes[] = {{128, 352}, {576, 192}, {576, 16},  {16, 576}, {577, 193},
                                   {24, 100},  {7, 3},     {4100, 24}, {24, 4100}};

std::string Name(MatmulShape shape) {
  return std::to_string(shape.in) + " to " + std::to_string(shape.out);
}

template <typename T>
std::vector<T> As(const TestMatrix& matrix) {
  return std::vector<T>(matrix.values().begin(), matrix.values().end());
}

// What the tests of one shape work on.
struct Problem {
  Problem(MatmulShape shape, int64_t rows, DType dtype)
      : shape(shape),
        rows(rows),
        random(shape.in * 7 + shape.out),
        x(TestMatrix::Normal(rows, shape.in, &random, 1, dtype)),
        w(TestMatrix::Normal(shape.out, shape.in, &random, 1, dtype)),
        dy(TestMatrix::Normal(rows, shape.out, &random)),
        dx_before(TestMatrix::Normal(rows, shape.in, &random)) {}

  WeightView weight() const { return {w.const_view(), {}}; }

  template <typename T>
  std::vector<T> ForwardReference() const {
    std::vector<T> y(rows * shape.out, T(0));
    AddProductReference(As<T>(x).data(), As<T>(w).data(), rows, shape.in, shape.out, y.data());
    return y;
  }

  template <typename T>
  std::vector<T> InputGradientReference(Accumulate accumulate) const {
    std::vector<T> dx(rows * shape.in, T(0));
    if (accumulate == Accumulate::kYes) dx = As<T>(dx_before);
    AddInputGradientReference(As<T>(dy).data(), As<T>(w).data(), rows, shape.in, shape.out,
                              dx.data());
    return dx;
  }

  TestMatrix Forward(RowPhase phase, Stream& stream) const {
    TestMatrix y(rows, shape.out);
    MatmulForward(x.view(), weight(), y.view(), phase, stream);
    return y;
  }

  const MatmulShape shape;
  const int64_t rows;
  Random random;
  const TestMatrix x, w, dy, dx_before;
};

void ExpectNearReference(const Problem& problem, Stream& stream) {
  const std::vector<float> naive = problem.ForwardReference<float>();
  const std::vector<double> reference = problem.ForwardReference<double>();
  for (RowPhase phase : {RowPhase::kPrefill, RowPhase::kDecode}) {
    const TestMatrix y = problem.Forward(phase, stream);
    ExpectWithinTwiceNaive("y", y.values(), naive, reference);
  }
  for (Accumulate accumulate : {Accumulate::kNo, Accumulate::kYes}) {
    TestMatrix dx = problem.dx_before.Copy();
    MatmulInputGradient(problem.dy.view(), problem.weight(), dx.view(), accumulate, stream);
    ExpectWithinTwiceNaive("dx", dx.values(), problem.InputGradientReference<float>(accumulate),
                           problem.InputGradientReference<double>(accumulate));
  }
}

class MatmulTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, MatmulTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(MatmulTest, IsAsExactAsThePlainLoop) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const MatmulShape& shape : kShapes) {
    for (int64_t rows : {1, 19}) {
      SCOPED_TRACE(Name(shape));
      ExpectNearReference(Problem(shape, rows, GetParam()), stream);
    }
  }
}

TEST_P(MatmulTest, WeightGradientIsAsExactAsThePlainLoop) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const MatmulShape shape = {77, 130};
  const Problem problem(shape, 301, GetParam());
  TestMatrix dw(shape.out, shape.in, 0.5f);
  std::vector<float> naive = As<float>(dw);
  std::vector<double> reference = As<double>(dw);
  MatmulWeightGradient(problem.dy.view(), problem.x.view(), dw.view(), stream);
  AddWeightGradientReference(As<float>(problem.dy).data(), As<float>(problem.x).data(), 301,
                             shape.in, shape.out, naive.data());
  AddWeightGradientReference(As<double>(problem.dy).data(), As<double>(problem.x).data(), 301,
                             shape.in, shape.out, reference.data());
  ExpectWithinTwiceNaive("dw", dw.values(), naive, reference);
}

TEST(MatmulReferenceTest, GradientsAreThoseOfTheComplexStep) {
  const MatmulShape shape = {5, 3};
  constexpr int64_t kRows = 4;
  const Problem problem(shape, kRows, DType::kF32);
  const std::vector<double> dy = problem.dy.AsDouble();
  std::vector<double> dx(kRows * shape.in), dw(shape.out * shape.in);
  AddInputGradientReference(dy.data(), problem.w.AsDouble().data(), kRows, shape.in, shape.out,
                            dx.data());
  AddWeightGradientReference(dy.data(), problem.x.AsDouble().data(), kRows, shape.in, shape.out,
                             dw.data());
  using Values = std::vector<std::complex<double>>;
  const auto loss = [&](const Values& x, const Values& w) {
    Values y(dy.size());
    AddProductReference(x.data(), w.data(), kRows, shape.in, shape.out, y.data());
    std::complex<double> sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
    return sum;
  };
  const Values x = As<std::complex<double>>(problem.x), w = As<std::complex<double>>(problem.w);
  const auto of_x = [&](const Values& point) { return loss(point, w); };
  const auto of_w = [&](const Values& point) { return loss(x, point); };
  ExpectSameGradient("dx", dx, ComplexStepGradient(of_x, problem.x.AsDouble()), 100);
  ExpectSameGradient("dw", dw, ComplexStepGradient(of_w, problem.w.AsDouble()), 100);
}

// Row counts around the sizes of slices and register blocks, at offsets that move rows within them.
constexpr RowCut kRowsToTry[] = {{0, 1},    {5, 1},    {511, 1},  {3, 2},    {17, 7},   {100, 15},
                                 {31, 16},  {64, 17},  {9, 31},   {250, 33}, {77, 48},  {1, 49},
                                 {448, 63}, {449, 63}, {128, 64}, {13, 65},  {200, 97}, {0, 511}};

// Calls compute(rows, stream) for each of kRowsToTry on 1 and 2 threads.
template <typename Compute>
void ForRowsToTry(int64_t rows_max, const Compute& compute) {
  for (int threads : {1, 2}) {
    WorkerPool pool({.threads = threads});
    Stream stream(&pool);
    for (const RowCut& rows : kRowsToTry) {
      if (rows.count > rows_max) continue;
      SCOPED_TRACE(testing::Message()
                   << threads << " threads, rows " << rows.first << " + " << rows.count);
      compute(rows, stream);
    }
  }
}

void ExpectRowsOf(const char* what, const TestMatrix& all, RowCut rows, const TestMatrix& got) {
  const absl::Span<const float> wanted =
      all.values().subspan(rows.first * all.width(), rows.count * all.width());
  ExpectSameBits(what, got.values(), wanted);
}

void ExpectForwardRowsApart(MatmulShape shape, DType dtype, RowPhase phase) {
  SCOPED_TRACE(Name(shape));
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem problem(shape, 512, dtype);
  const TestMatrix all = problem.Forward(phase, stream);
  ForRowsToTry(phase == RowPhase::kDecode ? 64 : 512, [&](RowCut rows, Stream& stream) {
    TestMatrix y(rows.count, shape.out);
    MatmulForward(problem.x.view().Rows(rows.first, rows.count), problem.weight(), y.view(), phase,
                  stream);
    ExpectRowsOf(phase == RowPhase::kDecode ? "decode" : "prefill", all, rows, y);
  });
}

void ExpectInputGradientRowsApart(MatmulShape shape, DType dtype) {
  SCOPED_TRACE(Name(shape));
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem problem(shape, 512, dtype);
  for (Accumulate accumulate : {Accumulate::kNo, Accumulate::kYes}) {
    TestMatrix all = problem.dx_before.Copy();
    MatmulInputGradient(problem.dy.view(), problem.weight(), all.view(), accumulate, stream);
    ForRowsToTry(512, [&](RowCut rows, Stream& stream) {
      TestMatrix dx(rows.count, shape.in);
      std::copy_n(problem.dx_before.Row(rows.first), rows.count * shape.in, dx.Row(0));
      MatmulInputGradient(problem.dy.view().Rows(rows.first, rows.count), problem.weight(),
                          dx.view(), accumulate, stream);
      ExpectRowsOf("dx", all, rows, dx);
    });
  }
}

TEST_P(MatmulTest, AForwardRowDependsOnThatRowAlone) {
  for (const MatmulShape& shape : kShapes) {
    for (RowPhase phase : {RowPhase::kPrefill, RowPhase::kDecode}) {
      ExpectForwardRowsApart(shape, GetParam(), phase);
    }
  }
}

TEST_P(MatmulTest, AnInputGradientRowDependsOnThatRowAlone) {
  for (const MatmulShape& shape : kShapes) ExpectInputGradientRowsApart(shape, GetParam());
}

// What MatmulSelfTest chose is in force while a test of this suite runs.
class MatmulSelfTestTest : public testing::TestWithParam<DType> {
 protected:
  // SmolLM2-135M's shapes, the quickstart's, and sums that are cut.
  static constexpr MatmulShape kModelShapes[] = {
      {576, 576}, {576, 192}, {576, 1536}, {1536, 576}, {576, 49152}, {128, 128},
      {128, 64},  {128, 384}, {384, 128},  {128, 1024}, {4160, 96}};

  void SetUp() override {
    const absl::Status status = MatmulSelfTest(kModelShapes, GetParam());
    ASSERT_TRUE(status.ok()) << status << " (" << MatmulDescription() << ")";
  }
  void TearDown() override {
    SetTileRows(DType::kF32, kTileRows);
    SetTileRows(DType::kBf16, 0);
    SetShortParts({});
  }
};
INSTANTIATE_TEST_SUITE_P(Types, MatmulSelfTestTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(MatmulSelfTestTest, WhatItChoosesIsExactAndKeepsRowsApart) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const MatmulShape& shape : kModelShapes) {
    if (shape.out > 2000) continue;  // Tried by the self-test alone: it takes long.
    for (const int64_t rows : {19, 211}) {
      ExpectNearReference(Problem(shape, rows, GetParam()), stream);
    }
    ExpectForwardRowsApart(shape, GetParam(), RowPhase::kPrefill);
    ExpectInputGradientRowsApart(shape, GetParam());
  }
}

TEST_P(MatmulSelfTestTest, Bf16IsMultipliedAsItIsWhereThatIsFaster) {
  if (!OnednnPrefersBf16()) GTEST_SKIP() << "bf16 is no faster than f32 here";
  EXPECT_EQ(TileRows(DType::kBf16) > 0, GetParam() == DType::kBf16) << MatmulDescription();
}

// oneDNN 2.6.3 sums in parts of 512 or 1,024 terms with AVX-512, but has another kernel, in another
// order, for sums that we cut.
TEST_P(MatmulSelfTestTest, ShortProductsHaveLoopsOfTheirOwn) {
  if (CurrentSimdLevel() < SimdLevel::kAvx512) GTEST_SKIP() << "no AVX-512 here";
  for (const MatmulShape& shape : kModelShapes) {
    if (shape.in > 4096) continue;
    for (const auto& call : ProductCalls({shape.in, shape.out, true, GetParam(), DType::kF32})) {
      EXPECT_TRUE(CurrentShortParts().contains(call))
          << call.columns << " columns of " << call.depth << ", " << MatmulDescription();
    }
  }
}

// The self-test compares rows of random numbers; these are a product's own.
TEST_P(MatmulSelfTestTest, ShortProductsHaveTheBitsOfOneDnn) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const MatmulShape& shape : kModelShapes) {
    if (shape.out > 2000) continue;
    const Problem problem(shape, 64, GetParam());
    const ShortParts parts = CurrentShortParts();
    SetShortParts({});
    const TestMatrix by_onednn = problem.Forward(RowPhase::kPrefill, stream);
    SetShortParts(parts);
    ExpectSameBits(Name(shape).c_str(), problem.Forward(RowPhase::kPrefill, stream).values(),
                   by_onednn.values());
  }
}

// DESIGN.md section 9: an OpenMP team under each worker would take the cores from the others.
TEST(MatmulThreadsTest, OneDnnStartsNoThreadsOfItsOwn) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const auto before = threads();
  Problem({576, 576}, 512, DType::kF32).Forward(RowPhase::kPrefill, stream);
  EXPECT_EQ(threads(), before);
}

TEST(MatmulDeathTest, ATypeWithoutAKernelIsNamed) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  TestMatrix memory(4, 8);
  const TensorView f16 = {memory.view().data, 4, 8, DType::kF16};
  const WeightView weight = {{memory.view().data, 8, 8, DType::kF16}, {}};
  EXPECT_DEATH(MatmulForward(f16, weight, memory.view(), RowPhase::kPrefill, stream),
               "MatmulForward has no kernel for f16");
}

// Training writes new weights where the old ones were.
TEST(Bf16MatmulTest, WeightsThatChangedBetweenTwoCallsAreReadAnew) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  const Problem problem({64, 48}, 16, DType::kBf16);
  TestMatrix w = problem.w.Copy();
  const auto forward = [&] {
    TestMatrix y(16, 48);
    MatmulForward(problem.x.view(), {w.const_view(), {}}, y.view(), RowPhase::kPrefill, stream);
    return y;
  };
  const TestMatrix before = forward();
  const TensorView view = w.view();
  for (int64_t row = 0; row < view.rows; ++row) {
    for (int64_t i = 0; i < view.width; ++i) view.Row<Bf16>(row)[i].bits ^= 0x8000;  // -w
  }
  TestMatrix after = forward();
  for (float& value : after.mutable_values()) value = -value;
  ExpectSameBits("y", after.values(), before.values());
}

class DecodeVersionTest : public testing::TestWithParam<SimdLevel> {
 protected:
  static void ExpectAdaptersExactAndApart(const MatmulShape& shape, DType dtype, int64_t rank,
                                          Stream& stream) {
    constexpr int64_t kRows = 19;
    Problem problem(shape, kRows, dtype);
    const TestMatrix u = TestMatrix::Normal(kRows, rank, &problem.random);
    const TestMatrix b = TestMatrix::Normal(shape.out, rank, &problem.random);
    const auto products_of = [&](RowCut rows) {
      TestMatrix y(rows.count, shape.out);
      const DecodeAdapter adapter = {0, u.view().Rows(rows.first, rows.count), b.view()};
      DecodeProducts(
          problem.x.view().Rows(rows.first, rows.count), {{problem.w.const_view(), {&adapter, 1}}},
          [&](const ProductTile& tile) { MoveTile(tile, y.view(), /*add=*/false); }, stream);
      return y;
    };
    std::vector<float> naive = problem.ForwardReference<float>();
    std::vector<double> reference = problem.ForwardReference<double>();
    AddProductReference(As<float>(u).data(), As<float>(b).data(), kRows, rank, shape.out,
                        naive.data());
    AddProductReference(As<double>(u).data(), As<double>(b).data(), kRows, rank, shape.out,
                        reference.data());
    const TestMatrix all = products_of({0, kRows});
    ExpectWithinTwiceNaive("y", all.values(), naive, reference);
    for (int64_t count : {1, 2, 3, 6, 17}) {
      ExpectRowsOf("y", all, {kRows - count, count}, products_of({kRows - count, count}));
    }
  }

  static void ExpectExactAndApart(const Problem& problem, Stream& stream) {
    const TestMatrix all = problem.Forward(RowPhase::kDecode, stream);
    ExpectWithinTwiceNaive("y", all.values(), problem.ForwardReference<float>(),
                           problem.ForwardReference<double>());
    for (int64_t count : {1, 2, 3, 5}) {
      TestMatrix y(count, problem.shape.out);
      MatmulForward(problem.x.view().Rows(64 - count, count), problem.weight(), y.view(),
                    RowPhase::kDecode, stream);
      ExpectRowsOf("y", all, {64 - count, count}, y);
    }
  }
};

TEST_P(DecodeVersionTest, IsExactAndKeepsRowsApart) {
  if (!IsSupported(GetParam())) GTEST_SKIP() << "no " << SimdLevelName(GetParam()) << " here";
  const SimdLevel before = CurrentSimdLevel();
  SetSimdLevelForTest(GetParam());
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const MatmulShape& shape : kShapes) {
    SCOPED_TRACE(Name(shape));
    for (DType dtype : kDTypesForTest) ExpectExactAndApart(Problem(shape, 64, dtype), stream);
  }
  SetSimdLevelForTest(before);
}

// Ranks of no, one and more than one vector, with a rest or without; outputs in parts of a tile,
// and in several tiles that are computed apart.
TEST_P(DecodeVersionTest, AdaptersAreAddedExactlyAndKeepRowsApart) {
  if (!IsSupported(GetParam())) GTEST_SKIP() << "no " << SimdLevelName(GetParam()) << " here";
  const SimdLevel before = CurrentSimdLevel();
  SetSimdLevelForTest(GetParam());
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (DType dtype : kDTypesForTest) {
    for (const MatmulShape& shape : {MatmulShape{72, 50}, MatmulShape{640, 48}}) {
      for (int64_t rank : {3, 16, 37}) {
        SCOPED_TRACE(testing::Message()
                     << DTypeName(dtype) << ", " << Name(shape) << ", rank " << rank);
        ExpectAdaptersExactAndApart(shape, dtype, rank, stream);
      }
    }
  }
  SetSimdLevelForTest(before);
}

INSTANTIATE_TEST_SUITE_P(Levels, DecodeVersionTest,
                         testing::Values(SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512,
                                         SimdLevel::kAvx512Bf16, SimdLevel::kAvx512FullRateBf16,
                                         SimdLevel::kAmxBf16),
                         [](const auto& info) {
                           std::string name = SimdLevelName(info.param);
                           std::erase_if(name, [](char c) { return !absl::ascii_isalnum(c); });
                           return name;
                         });

}  // namespace
}  // namespace alchemist
