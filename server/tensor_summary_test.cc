#include "server/tensor_summary.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/bf16.h"

namespace alchemist {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TensorSummary SummaryOf(const std::vector<float>& values) {
  TensorSummary summary;
  AddRows({values.data(), 1, static_cast<int64_t>(values.size()), DType::kF32}, summary);
  return summary;
}

TEST(TensorSummaryTest, GivesTheRangeAndTheNormOfKnownValues) {
  const TensorSummary summary = SummaryOf({-2, 1, 4, 2});
  EXPECT_EQ(summary.min, -2);
  EXPECT_EQ(summary.max, 4);
  EXPECT_EQ(summary.l2_norm(), 5);
  EXPECT_EQ(summary.finite, 4);
  EXPECT_EQ(summary.nonfinite, 0);
}

TEST(TensorSummaryTest, CountsWhatIsNotFiniteAndLeavesItOutOfTheRest) {
  const TensorSummary summary = SummaryOf({kNan, 3, kInfinity, 4, -kInfinity, kNan});
  EXPECT_EQ(summary.nonfinite, 4);
  EXPECT_EQ(summary.finite, 2);
  EXPECT_EQ(summary.min, 3) << "not the 0 of a summary without values";
  EXPECT_EQ(summary.max, 4);
  EXPECT_EQ(summary.l2_norm(), 5);
  EXPECT_EQ(SummaryOf({kNan}).finite, 0);
}

TEST(TensorSummaryTest, ReadsBf16AsTheValuesItStandsFor) {
  std::vector<Bf16> values;
  for (const float value : {-0.5f, 3.0f, -4.0f, kInfinity, kNan}) values.push_back(ToBf16(value));
  TensorSummary summary;
  AddRows({values.data(), 5, 1, DType::kBf16}, summary);
  EXPECT_EQ(summary.min, -4);
  EXPECT_EQ(summary.max, 3);
  EXPECT_EQ(summary.sum_squares, 25.25);
  EXPECT_EQ(summary.nonfinite, 2);
}

TEST(TensorSummaryTest, SumsOverThePiecesOfATensorAndTheLargestValuesDoNotOverflow) {
  TensorSummary summary;
  const std::vector<float> values = {-3e38f, 1, 4e-39f, 3e38f};
  AddRows({values.data(), 1, 2, DType::kF32}, summary);
  AddRows({values.data() + 2, 2, 1, DType::kF32}, summary);
  EXPECT_EQ(summary.min, -3e38f);
  EXPECT_EQ(summary.max, 3e38f);
  EXPECT_NEAR(summary.l2_norm() / 4.2426e38, 1, 1e-4);
  EXPECT_EQ(summary.finite, 4);
}

}  // namespace
}  // namespace alchemist
