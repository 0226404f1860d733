#include "trainer/objective.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;

TEST(SupervisedObjectiveTest, IsTheMeanOverAnswersOfTheirTokensMean) {
  const std::vector<float> one = {-1.0f, -3.0f};
  const std::vector<float> two = {-0.5f};
  const ObjectiveResult result = SupervisedObjective({{{one}, {two}}});
  EXPECT_THAT(result.answer_loss, ElementsAre(2.0, 0.5));
  EXPECT_EQ(result.loss, 1.25) << "a long answer weighs no more than a short one";
  EXPECT_THAT(result.c, ElementsAre(0.25f, 0.25f, 0.5f));
}

// c is the gradient of -loss, exactly: the loss is linear in each log-prob.
TEST(SupervisedObjectiveTest, CoefficientsAreTheGradientOfTheLoss) {
  std::vector<float> one = {-1.0f, -2.0f, -0.5f, -4.0f};
  std::vector<float> two = {-3.0f, -0.25f};
  const ObjectiveResult before = SupervisedObjective({{{one}, {two}}});
  for (size_t i = 0; i < one.size() + two.size(); ++i) {
    float& log_prob = i < one.size() ? one[i] : two[i - one.size()];
    log_prob += 1;
    EXPECT_EQ(before.loss - SupervisedObjective({{{one}, {two}}}).loss, before.c[i]) << i;
    log_prob -= 1;
  }
}

}  // namespace
}  // namespace alchemist
