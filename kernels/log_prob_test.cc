#include "kernels/log_prob.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/log_prob_reference.h"
#include "kernels/simd_level.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

template <typename T>
std::vector<T> As(absl::Span<const float> values) {
  return std::vector<T>(values.begin(), values.end());
}

TEST(LogProbReferenceTest, VjpIsTheComplexStepGradient) {
  constexpr int64_t kWidth = 6, kVocab = 11;
  constexpr int32_t kTarget = 4;
  constexpr double kC = -0.7;
  Random random(1);
  const std::vector<double> hidden = TestMatrix::Normal(1, kWidth, &random).AsDouble();
  const std::vector<double> head = TestMatrix::Normal(kVocab, kWidth, &random).AsDouble();
  std::vector<double> dhidden(hidden.size()), dhead(head.size());
  LogProbReferenceVjp(hidden.data(), head.data(), kWidth, kVocab, kTarget, kC, dhidden.data(),
                      dhead.data());
  using Values = std::vector<std::complex<double>>;
  const auto of_hidden = [&](const Values& point) {
    const Values weights(head.begin(), head.end());
    return LogProbReference(point.data(), weights.data(), kWidth, kVocab, kTarget);
  };
  const auto of_head = [&](const Values& point) {
    const Values row(hidden.begin(), hidden.end());
    return kC * LogProbReference(row.data(), point.data(), kWidth, kVocab, kTarget);
  };
  const int64_t operations = 4 * (kWidth + kVocab);
  ExpectSameGradient("dhidden", dhidden, ComplexStepGradient(of_hidden, hidden), operations);
  ExpectSameGradient("dhead", dhead, ComplexStepGradient(of_head, head), operations);
}

struct Case {
  int64_t rows = 0;
  int64_t width = 0;
  int64_t vocab = 0;
  double deviation = 1;  // Of the head's elements: large ones make some probabilities vanish.
};
constexpr Case kCases[] = {
    {5, 64, 1000, 0.2}, {70, 33, 49, 1}, {3, 128, 4099, 0.1}, {4, 64, 97, 30}};

struct Problem {
  Problem(const Case& c, DType dtype)
      : c(c),
        random(c.vocab),
        hidden(TestMatrix::Normal(c.rows, c.width, &random, 1, dtype)),
        head(TestMatrix::Normal(c.vocab, c.width, &random, c.deviation, dtype)) {
    for (int64_t t = 0; t < c.rows; ++t) {
      targets.push_back(static_cast<int32_t>(random.Below(c.vocab)));
      weights.push_back(static_cast<float>(random.Normal()));
    }
  }
  const Case c;
  Random random;
  const TestMatrix hidden, head;
  std::vector<int32_t> targets;
  std::vector<float> weights;  // c_t
};

struct Results {
  explicit Results(const Problem& problem)
      : log_probs(problem.c.rows, 1),
        unit_gradient(problem.c.rows, problem.c.width),
        dw(problem.c.vocab, problem.c.width, 0.5f) {}

  void Compute(const Problem& problem, const std::vector<RowCut>& cuts, Stream& stream) {
    for (const auto& [first, count] : cuts) {
      LogProb(problem.hidden.view().Rows(first, count), {problem.head.view(), {}},
              absl::MakeConstSpan(problem.targets).subspan(first, count),
              log_probs.mutable_values().subspan(first, count),
              {unit_gradient.view().Rows(first, count), dw.view(),
               absl::MakeConstSpan(problem.weights).subspan(first, count)},
              stream);
    }
  }
  TestMatrix log_probs, unit_gradient, dw;
};

template <typename T>
struct ReferenceResults {
  explicit ReferenceResults(const Problem& problem)
      : unit_gradient(problem.c.rows * problem.c.width, T(0)),
        dw(problem.c.vocab * problem.c.width, T(0.5)) {
    const auto& [rows, width, vocab, deviation] = problem.c;
    const std::vector<T> hidden = As<T>(problem.hidden.values());
    const std::vector<T> head = As<T>(problem.head.values());
    for (int64_t t = 0; t < rows; ++t) {
      const T* const row = &hidden[t * width];
      log_probs.push_back(LogProbReference(row, head.data(), width, vocab, problem.targets[t]));
      LogProbReferenceVjp(row, head.data(), width, vocab, problem.targets[t], T(problem.weights[t]),
                          &unit_gradient[t * width], dw.data());
    }
  }
  std::vector<T> log_probs, unit_gradient, dw;
};

class LogProbTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, LogProbTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(LogProbTest, IsAsExactAsThePlainLoops) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const SimdLevel before = CurrentSimdLevel();
  for (SimdLevel level : {SimdLevel::kPortable, before}) {
    SetSimdLevelForTest(level);
    for (const Case& c : kCases) {
      SCOPED_TRACE(c.vocab);
      const Problem problem(c, GetParam());
      Results results(problem);
      results.Compute(problem, {{0, c.rows}}, stream);
      const ReferenceResults<float> naive(problem);
      const ReferenceResults<double> reference(problem);
      ExpectWithinTwiceNaive("log_probs", results.log_probs.values(), naive.log_probs,
                             reference.log_probs);
      ExpectWithinTwiceNaive("unit_gradient", results.unit_gradient.values(), naive.unit_gradient,
                             reference.unit_gradient);
      ExpectWithinTwiceNaive("dw", results.dw.values(), naive.dw, reference.dw);
    }
  }
  SetSimdLevelForTest(before);
}

TEST_P(LogProbTest, AnyCutOfTheRowsIntoCallsMakesTheSameBits) {
  const Problem problem({.rows = 512, .width = 48, .vocab = 301}, GetParam());
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  Results whole(problem);
  whole.Compute(problem, {{0, problem.c.rows}}, stream);
  ForEachCut(problem.c.rows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    Results results(problem);
    results.Compute(problem, cut, stream);
    ExpectSameBits("log_probs", results.log_probs.values(), whole.log_probs.values());
    ExpectSameBits("unit_gradient", results.unit_gradient.values(), whole.unit_gradient.values());
    ExpectSameBits("dw", results.dw.values(), whole.dw.values());
  });
}

TEST_P(LogProbTest, WithoutGradientsTheLogProbsAreTheSame) {
  const Problem problem(kCases[1], GetParam());
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  Results with(problem);
  with.Compute(problem, {{0, problem.c.rows}}, stream);
  TestMatrix log_probs(problem.c.rows, 1);
  LogProb(problem.hidden.view(), {problem.head.view(), {}}, problem.targets,
          log_probs.mutable_values(), {}, stream);
  ExpectSameBits("log_probs", log_probs.values(), with.log_probs.values());
}

TEST(LogSoftmaxTest, LogSoftmaxAtIsAsExactAsThePlainLoop) {
  Random random(1);
  const TestMatrix logits = TestMatrix::Normal(1, 5003, &random, 8);
  const std::vector<float> naive = LogSoftmaxReference(As<float>(logits.values()));
  const std::vector<double> reference = LogSoftmaxReference(logits.AsDouble());
  std::vector<float> got;
  for (int32_t token = 0; token < logits.width(); ++token) {
    got.push_back(static_cast<float>(LogSoftmaxAt(logits.values(), token)));
  }
  ExpectWithinTwiceNaive("log softmax", got, naive, reference);
}

TEST(LogSoftmaxTest, ANanAmongTheLogitsIsNotHidden) {
  std::vector<float> logits(100, 1.0f);
  logits[63] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(LogSoftmaxAt(logits, 5)));
  logits[63] = -std::numeric_limits<float>::infinity();  // A token that cannot be.
  EXPECT_EQ(LogSoftmaxAt(logits, 63), -std::numeric_limits<double>::infinity());
  EXPECT_NEAR(LogSoftmaxAt(logits, 5), -std::log(99.0), std::numeric_limits<float>::epsilon());
}

TEST(ScaleRowsTest, MayWorkInPlace) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  Random random(1);
  TestMatrix x = TestMatrix::Normal(3, 50'000, &random);
  const std::vector<float> c = {2, -0.5f, 0};
  std::vector<float> wanted;
  for (int64_t t = 0; t < x.rows(); ++t) {
    for (int64_t j = 0; j < x.width(); ++j) wanted.push_back(c[t] * x.Row(t)[j]);
  }
  ScaleRows(x.view(), c, x.view(), stream);
  ExpectSameBits("x", x.values(), wanted);
}

}  // namespace
}  // namespace alchemist
