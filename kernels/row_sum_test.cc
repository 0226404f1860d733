#include "kernels/row_sum.h"

#include <vector>

#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

constexpr int64_t kRows = 70;
constexpr int64_t kWidth = 600;  // Three strips of columns.

// The sums in double, and as one loop in float.
template <typename T>
std::vector<T> PlainSums(const TestMatrix& x) {
  std::vector<T> sums(x.width());
  for (int64_t t = 0; t < x.rows(); ++t) {
    for (int64_t j = 0; j < x.width(); ++j) sums[j] += x.Row(t)[j];
  }
  return sums;
}

TEST(AddRowSumTest, AgreesWithDouble) {
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  Random random(1);
  const TestMatrix x = TestMatrix::Normal(kRows, kWidth, &random);
  TestMatrix sum(1, kWidth);
  AddRowSum(x.view(), sum.view(), stream);
  ExpectWithinTwiceNaive("sum", sum.values(), PlainSums<float>(x), PlainSums<double>(x));
}

TEST(AddRowSumTest, EveryCutOfTheRowsAndThreadCountGivesTheSameBits) {
  Random random(2);
  const TestMatrix x = TestMatrix::Normal(kRows, kWidth, &random);
  WorkerPool one({.threads = 1});
  Stream stream(&one);
  TestMatrix whole(1, kWidth, 0.5f);
  AddRowSum(x.view(), whole.view(), stream);

  WorkerPool two({.threads = 2});
  Stream other(&two);
  for (const int64_t cut : {1, 33, 69}) {
    TestMatrix pieces(1, kWidth, 0.5f);
    AddRowSum(x.view().Rows(0, cut), pieces.view(), other);
    AddRowSum(x.view().Rows(cut, kRows - cut), pieces.view(), other);
    ExpectSameBits("sum", pieces.values(), whole.values());
  }
}

}  // namespace
}  // namespace alchemist
