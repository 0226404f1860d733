#include "kernels/linear.h"

#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/bf16.h"
#include "kernels/lora_reference.h"
#include "kernels/lora_testing.h"
#include "kernels/matmul.h"
#include "kernels/matmul_reference.h"
#include "kernels/matmul_tiles.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

constexpr RowPhase kPhases[] = {RowPhase::kPrefill, RowPhase::kDecode};

// The quickstart's and SmolLM2-135M's shapes, odd ones, and a sum long enough to be split.
constexpr LoraShape kCases[] = {{128, 16, 352}, {576, 16, 1536}, {61, 3, 101},
                                {40, 1, 24},    {96, 64, 96},    {4100, 8, 40}};

// Two adapters, a bias, a residual.
struct Problem {
  Problem(const LoraShape& c, int64_t rows, DType dtype)
      : c(c),
        rows(rows),
        dtype(dtype),
        random(c.in),
        adapters(c, rows, &random),
        x(TestMatrix::Normal(rows, c.in, &random, 1, dtype)),
        w(TestMatrix::Normal(c.out, c.in, &random, 1, dtype)),
        bias(TestMatrix::Normal(1, c.out, &random, 1, dtype)),
        residual(TestMatrix::Normal(rows, c.out, &random, 1, dtype)) {}

  template <typename T>
  std::vector<T> Reference() const {
    std::vector<T> y;
    for (int64_t t = 0; t < rows; ++t) {
      y.insert(y.end(), bias.values().begin(), bias.values().end());
    }
    const std::vector<T> x_values = ValuesAs<T>(x);
    AddProductReference(x_values.data(), ValuesAs<T>(w).data(), rows, c.in, c.out, y.data());
    adapters.ForEachReference<T>(
        [&](const LoraReference<T>& reference, const LoraSegment& segment) {
          reference.Forward(&x_values[segment.first_row * c.in], segment.rows,
                            &y[segment.first_row * c.out]);
        });
    for (size_t i = 0; i < y.size(); ++i) y[i] += T(residual.values()[i]);
    return y;
  }

  TestMatrix Forward(const std::vector<RowCut>& cuts, DType y_dtype, RowPhase phase,
                     Stream& stream) const {
    TestMatrix y(rows, c.out, 7.0f, y_dtype);  // What y held does not matter.
    for (const RowCut& cut : cuts) {
      const std::vector<LoraSegment> segments = adapters.SegmentsIn(cut);
      LinearForward(x.view().Rows(cut.first, cut.count),
                    {{.w = {w.const_view(), bias.const_view()},
                      .adapters = segments,
                      .residual = residual.view().Rows(cut.first, cut.count),
                      .y = y.view().Rows(cut.first, cut.count)}},
                    phase, stream);
    }
    return y;
  }

  const LoraShape c;
  const int64_t rows;
  const DType dtype;
  Random random;
  const TestAdapters adapters;
  const TestMatrix x, w, bias, residual;
};

class LinearTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, LinearTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(LinearTest, IsAsExactAsThePlainLoops) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const LoraShape& c : kCases) {
    SCOPED_TRACE(c.in);
    const Problem problem(c, 37, GetParam());
    for (RowPhase phase : kPhases) {
      const TestMatrix y = problem.Forward({{0, problem.rows}}, DType::kF32, phase, stream);
      ExpectWithinTwiceNaive("y", y.values(), problem.Reference<float>(),
                             problem.Reference<double>());
    }
  }
}

TEST_P(LinearTest, WhatIsStoredIsTheSumsRoundedOnce) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem problem(kCases[1], 70, GetParam());
  for (RowPhase phase : kPhases) {
    const std::vector<RowCut> whole = {{0, problem.rows}};
    TestMatrix rounded = problem.Forward(whole, DType::kF32, phase, stream);
    if (GetParam() == DType::kBf16) {
      for (float& value : rounded.mutable_values()) value = ToF32(ToBf16(value));
    }
    const TestMatrix stored = problem.Forward(whole, GetParam(), phase, stream);
    ExpectSameBits("y", stored.values(), rounded.values());
  }
}

TEST_P(LinearTest, AnyCutOfTheRowsIntoCallsMakesTheSameBits) {
  for (const LoraShape& c : kCases) {
    SCOPED_TRACE(c.in);
    const Problem problem(c, 512, GetParam());
    WorkerPool pool({.threads = 1});
    Stream stream(&pool);
    for (RowPhase phase : kPhases) {
      const TestMatrix y = problem.Forward({{0, problem.rows}}, DType::kF32, phase, stream);
      ForEachCut(problem.rows, [&](const std::vector<RowCut>& cut, Stream& stream) {
        const TestMatrix of_cut = problem.Forward(cut, DType::kF32, phase, stream);
        ExpectSameBits("y", of_cut.values(), y.values());
      });
    }
  }
}

// Like q, k and v: other widths, not all with a bias, a residual and the same adapters.
TEST_P(LinearTest, LinearsOfOneCallHaveTheBitsOfEachAlone) {
  constexpr int64_t kIn = 96, kRows = 70;
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem q({kIn, 8, 200}, kRows, GetParam()), k({kIn, 3, 24}, kRows, GetParam());
  Random random(3);
  const TestMatrix plain_w = TestMatrix::Normal(120, kIn, &random, 1, GetParam());
  std::vector<LoraSegment> of_q = q.adapters.SegmentsIn({0, kRows});
  of_q.pop_back();  // The rows of the rest have one adapter, for k.
  const std::vector<LoraSegment> of_k = k.adapters.SegmentsIn({0, kRows});
  for (const RowPhase phase : kPhases) {
    struct Outputs {
      TestMatrix q{kRows, 200, 7.0f}, k{kRows, 24, 7.0f}, plain{kRows, 120, 7.0f};
    };
    Outputs together, alone;
    const auto linears = [&](Outputs& y) {
      return std::vector<LinearOutput>{
          {.w = {q.w.const_view(), q.bias.const_view()}, .adapters = of_q, .y = y.q.view()},
          {.w = {k.w.const_view(), {}},
           .adapters = of_k,
           .residual = k.residual.const_view(),
           .y = y.k.view()},
          {.w = {plain_w.const_view(), {}}, .y = y.plain.view()}};
    };
    LinearForward(q.x.const_view(), linears(together), phase, stream);
    for (const LinearOutput& linear : linears(alone)) {
      LinearForward(q.x.const_view(), {linear}, phase, stream);
    }
    ExpectSameBits("q", together.q.values(), alone.q.values());
    ExpectSameBits("k", together.k.values(), alone.k.values());
    ExpectSameBits("plain", together.plain.values(), alone.plain.values());
  }
}

// As the daemons run: with what the self-test chooses, in tall tiles where the machine has them.
TEST_P(LinearTest, TheTilesOfTheSelfTestMakeTheSameBitsForEveryCut) {
  const LoraShape c = kCases[1];
  const absl::Status status = MatmulSelfTest({{c.in, c.out}}, GetParam());
  ASSERT_TRUE(status.ok()) << status;
  const Problem problem(c, 401, GetParam());
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const auto forward = [&](const std::vector<RowCut>& cuts) {
    return problem.Forward(cuts, GetParam(), RowPhase::kPrefill, stream);
  };
  const TestMatrix y = forward({{0, 401}});
  ExpectSameBits("y", forward({{0, 192}, {192, 192}, {384, 17}}).values(), y.values());
  ExpectSameBits("y", forward({{0, 1}, {1, 63}, {64, 300}, {364, 37}}).values(), y.values());
  SetTileRows(DType::kF32, kTileRows);
  SetTileRows(DType::kBf16, 0);
  SetShortParts({});
}

}  // namespace
}  // namespace alchemist
