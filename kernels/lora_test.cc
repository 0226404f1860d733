#include "kernels/lora.h"

#include <complex>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/lora_reference.h"
#include "kernels/lora_testing.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

constexpr float kScale = TestAdapter::kScale;

TEST(LoraReferenceTest, VjpIsTheComplexStepGradient) {
  constexpr int64_t kRows = 3, kIn = 7, kRank = 2, kOut = 5;
  Random random(1);
  const auto normal = [&](int64_t rows, int64_t width) {
    return TestMatrix::Normal(rows, width, &random).AsDouble();
  };
  const std::vector<double> x = normal(kRows, kIn), a = normal(kRank, kIn), b = normal(kOut, kRank),
                            dy = normal(kRows, kOut);
  std::vector<double> dx(x.size()), da(a.size()), db(b.size());
  LoraReference<double>{a.data(), b.data(), kScale, kIn, kRank, kOut}.Vjp(
      x.data(), dy.data(), kRows, dx.data(), da.data(), db.data());
  using Complex = std::complex<double>;
  using Values = std::vector<Complex>;
  const auto loss = [&](const Values& x, const Values& a, const Values& b) {
    Values y(kRows * kOut);
    LoraReference<Complex>{a.data(), b.data(), kScale, kIn, kRank, kOut}.Forward(x.data(), kRows,
                                                                                 y.data());
    Complex sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
    return sum;
  };
  const Values cx(x.begin(), x.end()), ca(a.begin(), a.end()), cb(b.begin(), b.end());
  const int64_t operations = 4 * (kIn + kRank + kOut);
  const auto of_x = [&](const Values& point) { return loss(point, ca, cb); };
  const auto of_a = [&](const Values& point) { return loss(cx, point, cb); };
  const auto of_b = [&](const Values& point) { return loss(cx, ca, point); };
  ExpectSameGradient("dx", dx, ComplexStepGradient(of_x, x), operations);
  ExpectSameGradient("da", da, ComplexStepGradient(of_a, a), operations);
  ExpectSameGradient("db", db, ComplexStepGradient(of_b, b), operations);
}

// The quickstart's and SmolLM2-135M's shapes, and odd ones.
constexpr LoraShape kCases[] = {
    {128, 16, 352}, {576, 16, 1536}, {61, 3, 101}, {40, 1, 24}, {96, 64, 96}};

struct Problem {
  Problem(const LoraShape& c, int64_t rows, DType dtype)
      : c(c),
        rows(rows),
        random(c.in),
        adapters(c, rows, &random),
        x(TestMatrix::Normal(rows, c.in, &random, 1, dtype)),
        dy(TestMatrix::Normal(rows, c.out, &random)),
        dx_before(TestMatrix::Normal(rows, c.in, &random)) {}

  const LoraShape c;
  const int64_t rows;
  Random random;
  const TestAdapters adapters;
  const TestMatrix x, dy, dx_before;
};

struct Gradients {
  explicit Gradients(const Problem& problem)
      : dx(problem.dx_before.Copy()),
        da(problem.c.rank, problem.c.in, 0.25f),
        db(problem.c.out, problem.c.rank, -0.5f) {}

  void Add(const Problem& problem, const std::vector<RowCut>& cuts, Stream& stream) {
    for (const RowCut& cut : cuts) {
      LoraBackward(problem.x.view().Rows(cut.first, cut.count),
                   problem.dy.view().Rows(cut.first, cut.count), problem.adapters.SegmentsIn(cut),
                   dx.view().Rows(cut.first, cut.count), da.view(), db.view(), stream);
    }
  }
  TestMatrix dx, da, db;
};

template <typename T>
struct ReferenceGradients {
  explicit ReferenceGradients(const Problem& problem)
      : dx(ValuesAs<T>(problem.dx_before)),
        da(problem.c.rank * problem.c.in, T(0.25)),
        db(problem.c.out * problem.c.rank, T(-0.5)) {
    const std::vector<T> x = ValuesAs<T>(problem.x), dy = ValuesAs<T>(problem.dy);
    problem.adapters.ForEachReference<T>([&](const LoraReference<T>& reference,
                                             const LoraSegment& segment) {
      reference.Vjp(&x[segment.first_row * problem.c.in], &dy[segment.first_row * problem.c.out],
                    segment.rows, &dx[segment.first_row * problem.c.in], da.data(), db.data());
    });
  }
  std::vector<T> dx, da, db;
};

class LoraTest : public testing::TestWithParam<DType> {};  // Of x.
INSTANTIATE_TEST_SUITE_P(Types, LoraTest, testing::ValuesIn(kDTypesForTest),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(LoraTest, IsAsExactAsThePlainLoops) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const LoraShape& c : kCases) {
    SCOPED_TRACE(c.in);
    const Problem problem(c, 37, GetParam());
    const std::vector<RowCut> whole = {{0, problem.rows}};
    Gradients gradients(problem);
    gradients.Add(problem, whole, stream);
    const ReferenceGradients<float> naive(problem);
    const ReferenceGradients<double> reference(problem);
    ExpectWithinTwiceNaive("dx", gradients.dx.values(), naive.dx, reference.dx);
    ExpectWithinTwiceNaive("da", gradients.da.values(), naive.da, reference.da);
    ExpectWithinTwiceNaive("db", gradients.db.values(), naive.db, reference.db);
  }
}

TEST_P(LoraTest, AnyCutOfTheRowsIntoCallsMakesTheSameBits) {
  for (const LoraShape& c : kCases) {
    SCOPED_TRACE(c.in);
    const Problem problem(c, 512, GetParam());
    const std::vector<RowCut> whole = {{0, problem.rows}};
    WorkerPool pool({.threads = 1});
    Stream stream(&pool);
    Gradients gradients(problem);
    gradients.Add(problem, whole, stream);
    ForEachCut(problem.rows, [&](const std::vector<RowCut>& cut, Stream& stream) {
      Gradients of_cut(problem);
      of_cut.Add(problem, cut, stream);
      ExpectSameBits("dx", of_cut.dx.values(), gradients.dx.values());
      ExpectSameBits("da", of_cut.da.values(), gradients.da.values());
      ExpectSameBits("db", of_cut.db.values(), gradients.db.values());
    });
  }
}

TEST_P(LoraTest, WithoutDxTheWeightGradientsAreTheSame) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem problem(kCases[0], 37, GetParam());
  Gradients with(problem);
  with.Add(problem, {{0, problem.rows}}, stream);
  Gradients without(problem);
  LoraBackward(problem.x.view(), problem.dy.view(), problem.adapters.segments, {},
               without.da.view(), without.db.view(), stream);
  ExpectSameBits("da", without.da.values(), with.da.values());
  ExpectSameBits("db", without.db.values(), with.db.values());
}

}  // namespace
}  // namespace alchemist
