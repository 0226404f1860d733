#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/attention_reference.h"
#include "kernels/bf16.h"
#include "kernels/row_pieces.h"
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

struct Case {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t keys = 0;
  int64_t rows = 0;  // The last positions.

  AttentionShape shape() const {
    const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
    return {heads, kv_heads, head_dim, static_cast<float>(scale)};
  }
};
// Groups of 1, 2, 3 and 8 heads; one decode row, a whole prompt, a chunk after a prefix; ends in,
// at and after a block of 32 keys and a key tile of 128.
constexpr Case kCases[] = {{3, 3, 16, 1, 1},      {4, 2, 32, 64, 64},  {9, 3, 64, 161, 70},
                           {8, 1, 128, 97, 1},    {6, 2, 24, 129, 50}, {2, 1, 8, 300, 290},
                           {2, 1, 16, 1100, 100}, {3, 1, 96, 75, 9}};
// A whole prompt, and rows before and after the border of two key tiles of 1,024.
constexpr Case kInvarianceCases[] = {{6, 2, 64, 450, 450}, {2, 1, 32, 1100, 150}};
constexpr RowPhase kPhases[] = {RowPhase::kPrefill, RowPhase::kDecode};

// One sequence: its rows' q, its K and V as one run, and what the backward pass starts from.
struct Problem {
  explicit Problem(const Case& c, DType dtype = DType::kF32)
      : c(c),
        dtype(dtype),
        random(c.head_dim),
        q(TestMatrix::Normal(c.rows, c.heads * c.head_dim, &random, 1, dtype)),
        k(TestMatrix::Normal(c.keys, c.kv_heads * c.head_dim, &random, 1, dtype)),
        v(TestMatrix::Normal(c.keys, c.kv_heads * c.head_dim, &random, 1, dtype)),
        dout(TestMatrix::Normal(c.rows, c.heads * c.head_dim, &random)),
        positions(c.rows) {
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(c.keys - c.rows));
  }

  template <typename T, typename Function>
  void WithReference(const Function& function) const {
    const std::vector<T> q_values = As<T>(q.values()), k_values = As<T>(k.values()),
                         v_values = As<T>(v.values());
    function(AttentionReference<T>{c.shape(), positions, q_values.data(), k_values.data(),
                                   v_values.data()});
  }

  const Case c;
  const DType dtype;
  Random random;
  TestMatrix q, k, v, dout;
  std::vector<int32_t> positions;
};

// The first `keys` rows of `of`, cut into runs that end at `ends`.
std::vector<KvRun> CutKv(const Problem& of, int64_t keys, const std::vector<int64_t>& ends) {
  std::vector<KvRun> runs;
  int64_t first = 0;
  for (int64_t end : ends) {
    end = std::min(end, keys);
    runs.push_back(
        {of.k.view().Rows(first, end - first), of.v.view().Rows(first, end - first), first});
    first = end;
    if (end == keys) break;
  }
  return runs;
}

// Results of a forward pass, kept for the backward pass.
struct Outputs {
  explicit Outputs(const Problem& problem)
      : out(problem.c.rows, problem.q.width(), 0, problem.dtype),
        lse(problem.c.rows, problem.c.heads) {}
  TestMatrix out, lse;
};

// Rows [first, first + count) as one span.
void Forward(const Problem& problem, RowCut rows, const std::vector<int64_t>& kv_ends,
             Outputs* outputs, Stream& stream, RowPhase phase = RowPhase::kPrefill) {
  const absl::Span<const int32_t> positions =
      absl::MakeConstSpan(problem.positions).subspan(rows.first, rows.count);
  const std::vector<KvRun> runs = CutKv(problem, positions.back() + 1, kv_ends);
  const AttentionSpan span = {0, positions, runs};
  AttentionForward(problem.c.shape(), {span}, problem.q.view().Rows(rows.first, rows.count),
                   outputs->out.view().Rows(rows.first, rows.count),
                   outputs->lse.view().Rows(rows.first, rows.count), phase, stream);
}

struct Gradients {
  explicit Gradients(const Case& c)
      : dq(c.rows, c.heads * c.head_dim, 7.0f),  // To be overwritten.
        dk(c.keys, c.kv_heads * c.head_dim, 0.25f),
        dv(c.keys, c.kv_heads * c.head_dim, -0.5f) {}

  std::vector<KvGradRun> CutLike(absl::Span<const KvRun> runs) {
    std::vector<KvGradRun> cut;
    for (const KvRun& run : runs) {
      cut.push_back({dk.view().Rows(run.first_position, run.k.rows),
                     dv.view().Rows(run.first_position, run.k.rows), run.first_position});
    }
    return cut;
  }
  TestMatrix dq, dk, dv;
};

// Rows [first, first + count) of `matrix` in pieces of growing length.
RowPieces CutRows(const TestMatrix& matrix, RowCut rows) {
  RowPieces pieces;
  int64_t first = 0;
  for (int64_t count = 1; first < rows.count; count += 5) {
    count = std::min(count, rows.count - first);
    pieces.Append(matrix.view().Rows(rows.first + first, count));
    first += count;
  }
  return pieces;
}

void Backward(const Problem& problem, const Outputs& outputs, RowCut rows,
              const std::vector<int64_t>& kv_ends, Gradients* gradients, Stream& stream) {
  const absl::Span<const int32_t> positions =
      absl::MakeConstSpan(problem.positions).subspan(rows.first, rows.count);
  const std::vector<KvRun> runs = CutKv(problem, positions.back() + 1, kv_ends);
  const std::vector<KvGradRun> grad_runs = gradients->CutLike(runs);
  const AttentionGradSpan span = {0, positions, runs, grad_runs};
  AttentionBackward(problem.c.shape(), {span}, CutRows(problem.q, rows), CutRows(outputs.out, rows),
                    CutRows(outputs.lse, rows), problem.dout.view().Rows(rows.first, rows.count),
                    gradients->dq.view().Rows(rows.first, rows.count), stream);
}

// The gradients are those over the `out` that was stored.
template <typename T>
struct ReferenceResults {
  ReferenceResults(const Problem& problem, const Outputs& outputs)
      : out(problem.q.values().size()),
        lse(problem.c.rows * problem.c.heads),
        dq(problem.q.values().size()),
        dk(problem.k.values().size(), T(0.25)),
        dv(problem.v.values().size(), T(-0.5)) {
    problem.WithReference<T>([&](const AttentionReference<T>& reference) {
      reference.Forward(out.data(), lse.data());
      reference.Vjp(As<T>(outputs.out.values()).data(), As<T>(problem.dout.values()).data(),
                    dq.data(), dk.data(), dv.data());
    });
  }
  std::vector<T> out, lse, dq, dk, dv;
};

TEST(AttentionReferenceTest, VjpIsTheComplexStepGradient) {
  const Problem problem({.heads = 4, .kv_heads = 2, .head_dim = 8, .keys = 6, .rows = 4});
  std::vector<double> dq(problem.q.values().size()), dk(problem.k.values().size()),
      dv(problem.v.values().size());
  problem.WithReference<double>([&](const AttentionReference<double>& reference) {
    std::vector<double> out(dq.size()), lse(problem.c.rows * problem.c.heads);
    reference.Forward(out.data(), lse.data());
    reference.Vjp(out.data(), problem.dout.AsDouble().data(), dq.data(), dk.data(), dv.data());
  });
  using Values = std::vector<std::complex<double>>;
  const auto loss = [&](const Values& q, const Values& k, const Values& v) {
    Values out(q.size()), lse(problem.c.rows * problem.c.heads);
    AttentionReference<std::complex<double>>{problem.c.shape(), problem.positions, q.data(),
                                             k.data(), v.data()}
        .Forward(out.data(), lse.data());
    std::complex<double> sum = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      sum += static_cast<double>(problem.dout.values()[i]) * out[i];
    }
    return sum;
  };
  const Values q = As<std::complex<double>>(problem.q.values());
  const Values k = As<std::complex<double>>(problem.k.values());
  const Values v = As<std::complex<double>>(problem.v.values());
  const auto of_q = [&](const Values& point) { return loss(point, k, v); };
  const auto of_k = [&](const Values& point) { return loss(q, point, v); };
  const auto of_v = [&](const Values& point) { return loss(q, k, point); };
  ExpectSameGradient("dq", dq, ComplexStepGradient(of_q, problem.q.AsDouble()), 100);
  ExpectSameGradient("dk", dk, ComplexStepGradient(of_k, problem.k.AsDouble()), 100);
  ExpectSameGradient("dv", dv, ComplexStepGradient(of_v, problem.v.AsDouble()), 100);
}

// With each set of loops that a type has.
class AttentionTest : public testing::TestWithParam<std::pair<DType, SimdLevel>> {
 protected:
  void SetUp() override {
    const SimdLevel level = GetParam().second;
    if (!IsSupported(level)) GTEST_SKIP() << "no " << SimdLevelName(level) << " here";
    SetSimdLevelForTest(level);
  }
  void TearDown() override { SetSimdLevelForTest(before_); }

  DType dtype() const { return GetParam().first; }

 private:
  const SimdLevel before_ = CurrentSimdLevel();
};
INSTANTIATE_TEST_SUITE_P(TypesAndLevels, AttentionTest,
                         testing::Values(std::pair(DType::kF32, SimdLevel::kPortable),
                                         std::pair(DType::kF32, SimdLevel::kAvx2),
                                         std::pair(DType::kF32, SimdLevel::kAvx512),
                                         std::pair(DType::kBf16, SimdLevel::kPortable),
                                         std::pair(DType::kBf16, SimdLevel::kAvx2),
                                         std::pair(DType::kBf16, SimdLevel::kAvx512),
                                         std::pair(DType::kBf16, SimdLevel::kAvx512Bf16),
                                         std::pair(DType::kBf16, SimdLevel::kAvx512FullRateBf16),
                                         std::pair(DType::kBf16, SimdLevel::kAmxBf16)),
                         [](const auto& info) {
                           std::string name = absl::StrCat(DTypeName(info.param.first),
                                                           SimdLevelName(info.param.second));
                           std::erase_if(name, [](char c) { return !absl::ascii_isalnum(c); });
                           return name;
                         });

TEST_P(AttentionTest, IsAsExactAsThePlainLoops) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  for (const Case& c : kCases) {
    const Problem problem(c, dtype());
    SCOPED_TRACE(testing::Message()
                 << c.heads << " heads of " << c.head_dim << ", " << c.keys << " keys");
    Outputs outputs(problem);
    Forward(problem, {0, c.rows}, {c.keys}, &outputs, stream);
    Gradients gradients(c);
    Backward(problem, outputs, {0, c.rows}, {c.keys}, &gradients, stream);
    const ReferenceResults<float> naive(problem, outputs);
    const ReferenceResults<double> reference(problem, outputs);
    ExpectWithinTwiceNaive("out", outputs.out.values(), Stored(dtype(), naive.out), reference.out);
    ExpectWithinTwiceNaive("lse", outputs.lse.values(), naive.lse, reference.lse);
    Outputs decoded(problem);
    Forward(problem, {0, c.rows}, {c.keys}, &decoded, stream, RowPhase::kDecode);
    ExpectWithinTwiceNaive("decoded out", decoded.out.values(), Stored(dtype(), naive.out),
                           reference.out);
    ExpectWithinTwiceNaive("decoded lse", decoded.lse.values(), naive.lse, reference.lse);
    ExpectWithinTwiceNaive("dq", gradients.dq.values(), naive.dq, reference.dq);
    ExpectWithinTwiceNaive("dk", gradients.dk.values(), naive.dk, reference.dk);
    ExpectWithinTwiceNaive("dv", gradients.dv.values(), naive.dv, reference.dv);
  }
}

// K/V as one run, in pages of 32, and cut anywhere.
std::vector<std::vector<int64_t>> KvCuts(int64_t keys) {
  std::vector<int64_t> pages;
  for (int64_t end = 32; end < keys; end += 32) pages.push_back(end);
  pages.push_back(keys);
  return {{keys}, pages, {1, 30, 33, 95, 96, 127, 140, 170, 300, keys}};
}

TEST_P(AttentionTest, AForwardRowDependsOnItsQPhaseAndTheKeysBeforeItOnly) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  for (const Case& c : kInvarianceCases) {
    const Problem problem(c, dtype());
    for (const RowPhase phase : kPhases) {
      Outputs whole(problem);
      Forward(problem, {0, c.rows}, {c.keys}, &whole, stream, phase);
      ForEachCut(c.rows, [&](const std::vector<RowCut>& cut, Stream& stream) {
        for (const std::vector<int64_t>& kv_ends : KvCuts(c.keys)) {
          Outputs outputs(problem);
          for (const RowCut& rows : cut) Forward(problem, rows, kv_ends, &outputs, stream, phase);
          ExpectSameBits("out", outputs.out.values(), whole.out.values());
          ExpectSameBits("lse", outputs.lse.values(), whole.lse.values());
        }
      });
    }
  }
}

void CopyRows(ConstTensorView from, TensorView to) {
  std::memcpy(to.data, from.data, from.bytes());
}

// Two sequences in one call, of different lengths, against each alone.
TEST_P(AttentionTest, SpansOfOneCallDoNotTouchEachOther) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem a({6, 2, 32, 129, 50}, dtype()), b({6, 2, 32, 40, 3}, dtype());
  const int64_t rows = a.c.rows + b.c.rows;
  TestMatrix q(rows, a.q.width(), 0, dtype()), out(rows, a.q.width(), 0, dtype()),
      lse(rows, a.c.heads);
  CopyRows(b.q.view(), q.view().Rows(0, b.c.rows));
  CopyRows(a.q.view(), q.view().Rows(b.c.rows, a.c.rows));
  const std::vector<KvRun> a_runs = CutKv(a, a.c.keys, {77, 129});
  const std::vector<KvRun> b_runs = CutKv(b, b.c.keys, {40});
  for (const RowPhase phase : kPhases) {
    Outputs a_alone(a), b_alone(b);
    Forward(a, {0, a.c.rows}, {a.c.keys}, &a_alone, stream, phase);
    Forward(b, {0, b.c.rows}, {b.c.keys}, &b_alone, stream, phase);
    AttentionForward(a.c.shape(), {{b.c.rows, a.positions, a_runs}, {0, b.positions, b_runs}},
                     q.view(), out.view(), lse.view(), phase, stream);
    const size_t split = b.q.values().size();
    ExpectSameBits("out of b", out.values().subspan(0, split), b_alone.out.values());
    ExpectSameBits("out of a", out.values().subspan(split), a_alone.out.values());
    ExpectSameBits("lse of a", lse.values().subspan(b.c.rows * b.c.heads), a_alone.lse.values());
  }
}

TEST_P(AttentionTest, AnyCutOfTheBackwardPassMakesTheSameBits) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  const Problem problem(kInvarianceCases[0], dtype());
  Outputs outputs(problem);
  Forward(problem, {0, problem.c.rows}, KvCuts(problem.c.keys)[0], &outputs, stream);
  Gradients whole(problem.c);
  Backward(problem, outputs, {0, problem.c.rows}, KvCuts(problem.c.keys)[0], &whole, stream);
  ForEachCut(problem.c.rows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    for (const std::vector<int64_t>& kv_ends : KvCuts(problem.c.keys)) {
      Gradients gradients(problem.c);
      for (const RowCut& rows : cut) {
        Backward(problem, outputs, rows, kv_ends, &gradients, stream);
      }
      ExpectSameBits("dq", gradients.dq.values(), whole.dq.values());
      ExpectSameBits("dk", gradients.dk.values(), whole.dk.values());
      ExpectSameBits("dv", gradients.dv.values(), whole.dv.values());
    }
  });
}

// A prompt and two answers to it: three spans whose K/V share the prompt's rows. In one call they
// must add to dk and dv in order, as three calls do.
TEST(AttentionSpanTest, SpansOnACommonPrefixAreTakenInOrder) {
  constexpr int64_t kPrompt = 150, kFirst = 90, kSecond = 61;
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  Problem problem({3, 3, 16, kPrompt + kFirst + kSecond, kPrompt + kFirst + kSecond});
  std::vector<int32_t> positions(problem.c.rows);
  std::iota(positions.begin(), positions.begin() + kPrompt + kFirst, 0);
  std::iota(positions.begin() + kPrompt + kFirst, positions.end(), static_cast<int32_t>(kPrompt));
  const TestMatrix out = TestMatrix::Normal(problem.c.rows, problem.q.width(), &problem.random);
  const TestMatrix lse(problem.c.rows, 3, 4.0f);  // Any values: both sides take the same.
  const auto run = [&](int64_t first, int64_t count, int64_t position) {
    return KvRun{problem.k.view().Rows(first, count), problem.v.view().Rows(first, count),
                 position};
  };
  const std::vector<std::vector<KvRun>> runs = {
      {run(0, kPrompt, 0)},
      {run(0, kPrompt, 0), run(kPrompt, kFirst, kPrompt)},
      {run(0, kPrompt, 0), run(kPrompt + kFirst, kSecond, kPrompt)}};
  const RowCut rows[] = {{0, kPrompt}, {kPrompt, kFirst}, {kPrompt + kFirst, kSecond}};
  const auto compute = [&](Gradients* gradients, bool one_call) {
    std::vector<std::vector<KvGradRun>> grad_runs(3);
    std::vector<AttentionGradSpan> spans;
    for (int i = 0; i < 3; ++i) {
      for (const KvRun& run : runs[i]) {
        const int64_t first =
            (static_cast<const float*>(run.k.data) - problem.k.Row(0)) / problem.k.width();
        grad_runs[i].push_back({gradients->dk.view().Rows(first, run.k.rows),
                                gradients->dv.view().Rows(first, run.k.rows), run.first_position});
      }
      spans.push_back({rows[i].first,
                       absl::MakeConstSpan(positions).subspan(rows[i].first, rows[i].count),
                       runs[i], grad_runs[i]});
    }
    for (int i = 0; i < (one_call ? 1 : 3); ++i) {
      AttentionBackward(
          problem.c.shape(),
          one_call ? absl::MakeConstSpan(spans) : absl::MakeConstSpan(spans).subspan(i, 1),
          problem.q.view(), out.view(), lse.view(), problem.dout.view(), gradients->dq.view(),
          stream);
    }
  };
  Gradients together(problem.c), apart(problem.c);
  compute(&together, true);
  compute(&apart, false);
  ExpectSameBits("dq", together.dq.values(), apart.dq.values());
  ExpectSameBits("dk", together.dk.values(), apart.dk.values());
  ExpectSameBits("dv", together.dv.values(), apart.dv.values());
}

// Rows for which the last layer keeps nothing leave gaps.
TEST_P(AttentionTest, PositionsMayHaveGaps) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Problem problem(kInvarianceCases[0], dtype());
  const std::vector<int32_t> positions = {3, 31, 32, 100, 101, 102, 168, 411};
  TestMatrix q(positions.size(), problem.q.width(), 0, dtype());
  for (size_t t = 0; t < positions.size(); ++t) {
    CopyRows(problem.q.view().Rows(positions[t], 1), q.view().Rows(static_cast<int64_t>(t), 1));
  }
  TestMatrix out(positions.size(), q.width(), 0, dtype()), lse(positions.size(), problem.c.heads);
  const std::vector<KvRun> runs = CutKv(problem, problem.c.keys, KvCuts(problem.c.keys)[1]);
  for (const RowPhase phase : kPhases) {
    Outputs whole(problem);
    Forward(problem, {0, problem.c.rows}, KvCuts(problem.c.keys)[0], &whole, stream, phase);
    AttentionForward(problem.c.shape(), {{0, positions, runs}}, q.view(), out.view(), lse.view(),
                     phase, stream);
    for (size_t t = 0; t < positions.size(); ++t) {
      ExpectSameBits("out", out.values().subspan(t * q.width(), q.width()),
                     whole.out.values().subspan(positions[t] * q.width(), q.width()));
    }
  }
}

void FillRow(float value, int64_t row, TensorView matrix) {
  if (matrix.dtype == DType::kF32) {
    std::fill_n(matrix.Row<float>(row), matrix.width, value);
  } else {
    std::fill_n(matrix.Row<Bf16>(row), matrix.width, ToBf16(value));
  }
}

// Memory behind a position may hold anything: rows of requests that are gone, or nothing yet.
TEST_P(AttentionTest, KeysAfterARowsPositionAreNotTouched) {
  constexpr int64_t kKeys = 200, kClean = 145;  // Behind the first tile of a decode row, too.
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Case c = {.heads = 4, .kv_heads = 2, .head_dim = 32, .keys = kKeys, .rows = kKeys};
  const Problem problem(c, dtype());
  Problem poisoned(c, dtype());
  for (int64_t key = kClean; key < kKeys; ++key) {
    FillRow(std::numeric_limits<float>::quiet_NaN(), key, poisoned.k.view());
    FillRow(std::numeric_limits<float>::infinity(), key, poisoned.v.view());
  }
  Outputs clean(problem), got(problem), clean_decoded(problem), decoded(problem);
  Forward(problem, {0, kKeys}, {kKeys}, &clean, stream);
  Forward(poisoned, {0, kKeys}, {kKeys}, &got, stream);
  Forward(problem, {0, kKeys}, {kKeys}, &clean_decoded, stream, RowPhase::kDecode);
  Forward(poisoned, {0, kKeys}, {kKeys}, &decoded, stream, RowPhase::kDecode);
  Gradients clean_gradients(problem.c), got_gradients(problem.c);
  Backward(problem, clean, {0, kKeys}, {kKeys}, &clean_gradients, stream);
  Backward(poisoned, clean, {0, kKeys}, {kKeys}, &got_gradients, stream);
  const auto expect_clean_rows = [](const char* what, const TestMatrix& got,
                                    const TestMatrix& wanted) {
    ExpectSameBits(what, got.values().subspan(0, kClean * got.width()),
                   wanted.values().subspan(0, kClean * got.width()));
  };
  expect_clean_rows("out", got.out, clean.out);
  expect_clean_rows("lse", got.lse, clean.lse);
  expect_clean_rows("decoded out", decoded.out, clean_decoded.out);
  expect_clean_rows("decoded lse", decoded.lse, clean_decoded.lse);
  expect_clean_rows("dq", got_gradients.dq, clean_gradients.dq);
}

// The same of one key's values, which lie in pairs: 0 times any of these is not 0.
TEST_P(AttentionTest, NorAreTheValuesOfOneKey) {
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const Case c = {.heads = 3, .kv_heads = 1, .head_dim = 32, .keys = 80, .rows = 80};
  const Problem problem(c, dtype());
  Outputs clean(problem);
  Forward(problem, {0, c.rows}, {c.keys}, &clean, stream);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const int64_t key : {44, 45}) {
    for (const float value : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      SCOPED_TRACE(absl::StrCat(value, " at ", key));
      Problem poisoned(c, dtype());
      FillRow(value, key, poisoned.v.view());
      Outputs got(problem);
      Forward(poisoned, {0, c.rows}, {c.keys}, &got, stream);
      ExpectSameBits("out", got.out.values().subspan(0, key * got.out.width()),
                     clean.out.values().subspan(0, key * got.out.width()));
    }
  }
}

}  // namespace
}  // namespace alchemist
