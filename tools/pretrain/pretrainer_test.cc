#include "tools/pretrain/pretrainer.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu_device.h"
#include "kernels/worker_pool.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

// Texts of three tokens that are learned by heart: the first decides the other two.
std::vector<TokenSequence> Texts() {
  std::vector<TokenSequence> texts;
  for (int32_t i = 0; i < 24; ++i) texts.push_back({{10 + i, 40 + i / 2, 60 + i / 3, 2}, 2});
  return texts;
}

class PretrainerTest : public testing::Test {
 protected:
  PretrainerTest() : pool_({.threads = 2}), stream_(&pool_) {
    options_.epochs = 40;
    options_.batch_sequences = 10;
    options_.warmup_steps = 10;
    options_.learning_rate = 1e-2;
  }
  std::unique_ptr<Pretrainer> Make() {
    absl::StatusOr<std::unique_ptr<Pretrainer>> made = Pretrainer::Create(
        TinyModelConfig(ModelFamily::kLlama), options_, Texts(), &device_, &stream_);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  PretrainOptions options_;
  CpuDevice device_;
  WorkerPool pool_;
  Stream stream_;
};

TEST_F(PretrainerTest, LearnsItsTextsByHeart) {
  const std::unique_ptr<Pretrainer> pretrainer = Make();
  double first = 0, last = 0;
  int64_t steps = 0;
  ASSERT_TRUE(pretrainer
                  ->Run([&](const Pretrainer::Progress& progress) {
                    if (++steps == 1) first = progress.loss;
                    last = progress.loss;
                    EXPECT_EQ(progress.step, steps);
                    EXPECT_EQ(progress.steps, 40 * 3);
                  })
                  .ok());
  EXPECT_EQ(steps, 40 * 3);
  EXPECT_NEAR(first, std::log(96.0), 0.1) << "all tokens are alike before training";
  EXPECT_LT(last, 0.05);
}

TEST_F(PretrainerTest, TheSameSeedMakesTheSameWeights) {
  options_.epochs = 2;
  const std::unique_ptr<Pretrainer> a = Make(), b = Make();
  ASSERT_TRUE(a->Run([](const Pretrainer::Progress&) {}).ok());
  ASSERT_TRUE(b->Run([](const Pretrainer::Progress&) {}).ok());
  const ConstTensorView x = a->model().weights().embedding, y = b->model().weights().embedding;
  EXPECT_EQ(std::memcmp(x.data, y.data, x.bytes()), 0);
  options_.seed = 2;
  const std::unique_ptr<Pretrainer> c = Make();
  ASSERT_TRUE(c->Run([](const Pretrainer::Progress&) {}).ok());
  EXPECT_NE(std::memcmp(x.data, c->model().weights().embedding.data, x.bytes()), 0);
}

TEST_F(PretrainerTest, NothingToTrainOnIsAnError) {
  const auto made =
      Pretrainer::Create(TinyModelConfig(ModelFamily::kLlama), options_, {}, &device_, &stream_);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LearningRateTest, RisesThenFallsToZero) {
  PretrainOptions options;
  options.learning_rate = 1.0;
  options.warmup_steps = 4;
  EXPECT_DOUBLE_EQ(LearningRateAt(options, 1, 12), 0.25);
  EXPECT_DOUBLE_EQ(LearningRateAt(options, 4, 12), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateAt(options, 8, 12), 0.5);
  EXPECT_NEAR(LearningRateAt(options, 12, 12), 0.0, 1e-12);
}

}  // namespace
}  // namespace alchemist
