#include "kernels/adamw.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/adamw_reference.h"
#include "kernels/stream.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

constexpr AdamWOptions kOptions = {.learning_rate = 3e-3, .beta2 = 0.99, .weight_decay = 0.1};

struct State {
  TestMatrix weights;
  TestMatrix first_moment;
  TestMatrix second_moment;
};

State Begin(int64_t rows, int64_t width, Random* random) {
  return {TestMatrix::Normal(rows, width, random), TestMatrix(rows, width),
          TestMatrix(rows, width)};
}

double Step(int64_t step, double gradient_scale, const TestMatrix& gradient, State* state,
            Stream& stream) {
  return AdamWStep(kOptions, step, gradient_scale, gradient.view(), state->weights.view(),
                   state->first_moment.view(), state->second_moment.view(), stream);
}

// Algorithm 2 of the paper, written out for one element in double.
struct PlainAdamW {
  double weight = 0;
  double m = 0;
  double v = 0;

  void Step(int64_t step, double g) {
    m = kOptions.beta1 * m + (1 - kOptions.beta1) * g;
    v = kOptions.beta2 * v + (1 - kOptions.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(kOptions.beta1, step));
    const double v_hat = v / (1 - std::pow(kOptions.beta2, step));
    weight -= kOptions.learning_rate *
              (m_hat / (std::sqrt(v_hat) + kOptions.epsilon) + kOptions.weight_decay * weight);
  }
};

// Over ten steps, so that errors of the moments show.
TEST(AdamWTest, IsAsCloseToTheTruthAsThePlainLoop) {
  constexpr int64_t kRows = 7;
  constexpr int64_t kWidth = 61;
  constexpr double kScale = 0.25;
  Random random(1);
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  State state = Begin(kRows, kWidth, &random);
  std::vector<float> naive(state.weights.values().begin(), state.weights.values().end());
  std::vector<float> naive_m(naive.size(), 0);
  std::vector<float> naive_v(naive.size(), 0);
  std::vector<PlainAdamW> truth(naive.size());
  for (size_t i = 0; i < truth.size(); ++i) truth[i].weight = naive[i];
  for (int64_t step = 1; step <= 10; ++step) {
    const TestMatrix gradient = TestMatrix::Normal(kRows, kWidth, &random);
    Step(step, kScale, gradient, &state, stream);
    const AdamWStepConstants constants(kOptions, step, kScale);
    for (size_t i = 0; i < truth.size(); ++i) {
      const float g = gradient.values()[i];
      AdamWReference<float>(constants, g, &naive[i], &naive_m[i], &naive_v[i]);
      truth[i].Step(step, kScale * g);
    }
  }
  std::vector<double> wanted;
  std::vector<double> wanted_m;
  std::vector<double> wanted_v;
  for (const PlainAdamW& element : truth) {
    wanted.push_back(element.weight);
    wanted_m.push_back(element.m);
    wanted_v.push_back(element.v);
  }
  ExpectWithinTwiceNaive("weights", state.weights.values(), naive, wanted);
  ExpectWithinTwiceNaive("first moment", state.first_moment.values(), naive_m, wanted_m);
  ExpectWithinTwiceNaive("second moment", state.second_moment.values(), naive_v, wanted_v);
}

TEST(AdamWTest, ReturnsTheSquaredChangeOfTheWeights) {
  Random random(2);
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  State state = Begin(3, 100, &random);
  const TestMatrix before = state.weights.Copy();
  const double change = Step(1, 1, TestMatrix::Normal(3, 100, &random), &state, stream);
  double wanted = 0;
  for (size_t i = 0; i < before.values().size(); ++i) {
    const double difference = static_cast<double>(state.weights.values()[i]) - before.values()[i];
    wanted += difference * difference;
  }
  EXPECT_GT(change, 0);
  EXPECT_NEAR(change, wanted, 300 * std::numeric_limits<double>::epsilon() * wanted);
}

// Three tiles: also the sum over them.
TEST(AdamWTest, HasTheSameBitsOnAnyPool) {
  Random random(3);
  const TestMatrix gradient = TestMatrix::Normal(5, 16'001, &random);
  const TestMatrix weights = TestMatrix::Normal(5, 16'001, &random);
  std::vector<double> changes;
  TestMatrix wanted(0, 0);
  for (int threads : {1, 2, 3}) {
    WorkerPool pool({.threads = threads});
    Stream stream(&pool);
    State state = {weights.Copy(), TestMatrix(5, 16'001), TestMatrix(5, 16'001)};
    changes.push_back(Step(1, 1, gradient, &state, stream));
    EXPECT_EQ(changes.back(), changes.front());
    if (threads == 1) wanted = state.weights.Copy();
    ExpectSameBits("weights", state.weights.values(), wanted.values());
  }
}

TEST(SumOfSquaresTest, IsExactToDoubleAndShowsWhatIsNotFinite) {
  Random random(4);
  TestMatrix x = TestMatrix::Normal(3, 37, &random);
  double wanted = 0;
  for (float value : x.values()) wanted += static_cast<double>(value) * value;
  EXPECT_NEAR(SumOfSquares(x.view()), wanted,
              111 * std::numeric_limits<double>::epsilon() * wanted);
  x.Row(2)[36] = -INFINITY;
  EXPECT_TRUE(std::isinf(SumOfSquares(x.view())));
  x.Row(1)[0] = NAN;
  EXPECT_TRUE(std::isnan(SumOfSquares(x.view())));
  EXPECT_EQ(SumOfSquares(ConstTensorView()), 0);
}

}  // namespace
}  // namespace alchemist
