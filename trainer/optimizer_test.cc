#include "trainer/optimizer.h"

#include <cmath>
#include <limits>
#include <string>

#include "base/logging.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/worker_pool.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

class OptimizerTest : public testing::Test {
 protected:
  OptimizerTest() : pool_({.threads = 1}), stream_(&pool_) {}

  std::unique_ptr<LoraAdapter> MakeAdapter() const {
    LoraConfig config;
    config.rank = 2;
    config.targets = {Linear::kQ, Linear::kUp};
    config.lowest_layer = 1;
    auto adapter = LoraAdapter::Create(TinyModelConfig(ModelFamily::kLlama), config, 3);
    CHECK(adapter.ok()) << adapter.status();
    return *std::move(adapter);
  }
  // Calls visit(tensor) for every A and B of `tensors`.
  template <typename Visit>
  static void ForEach(AdapterGradients& tensors, Visit visit) {
    for (int64_t layer = 0; layer < tensors.layers(); ++layer) {
      for (const Linear linear : kLinears) {
        for (const TensorView t : {tensors.A(layer, linear), tensors.B(layer, linear)}) {
          if (t.data != nullptr) visit(t);
        }
      }
    }
  }
  static void Fill(AdapterGradients& tensors, uint64_t seed, double size) {
    Random random(seed);
    ForEach(tensors, [&](TensorView t) {
      for (int64_t i = 0; i < t.rows * t.width; ++i) {
        static_cast<float*>(t.data)[i] = static_cast<float>(size * random.Normal());
      }
    });
  }
  static double Norm(AdapterGradients& tensors) {
    double squares = 0;
    ForEach(tensors, [&](TensorView t) { squares += SumOfSquares(t); });
    return std::sqrt(squares);
  }
  static std::string Digest(const Optimizer& optimizer) {
    const std::unique_ptr<LoraAdapter> copy = optimizer.adapter().Clone();
    copy->UpdateDigest();
    return copy->digest();
  }
  // The norm of the difference of all weights of two adapters of one shape.
  static double Distance(const LoraAdapter& a, const LoraAdapter& b) {
    double squares = 0;
    for (int64_t layer = 0; layer < a.layers(); ++layer) {
      for (const Linear linear : kLinears) {
        const LoraView x = a.View(layer, linear), y = b.View(layer, linear);
        if (x.a.data == nullptr) continue;
        for (const auto& [s, t] : {std::pair{x.a, y.a}, std::pair{x.b, y.b}}) {
          for (int64_t i = 0; i < s.rows * s.width; ++i) {
            const double d = double{static_cast<const float*>(s.data)[i]} -
                             double{static_cast<const float*>(t.data)[i]};
            squares += d * d;
          }
        }
      }
    }
    return std::sqrt(squares);
  }

  WorkerPool pool_;
  Stream stream_;
};

TEST_F(OptimizerTest, ClimbsAlongTheGradient) {
  Optimizer optimizer({}, MakeAdapter());
  AdapterGradients ascent(optimizer.adapter());
  ascent.B(1, Linear::kQ).Row<float>(0)[0] = 0.5f;  // B is 0 at first.
  ascent.B(1, Linear::kQ).Row<float>(0)[1] = -0.5f;
  EXPECT_TRUE(optimizer.Apply(ascent, stream_).applied);
  const LoraView view = optimizer.adapter().View(1, Linear::kQ);
  EXPECT_GT(view.b.Row<float>(0)[0], 0);
  EXPECT_LT(view.b.Row<float>(0)[1], 0);
  EXPECT_EQ(optimizer.steps(), 1);
}

TEST_F(OptimizerTest, ReportsTheNormsOfGradientChangeAndWeights) {
  Optimizer optimizer({}, MakeAdapter());
  const auto before = MakeAdapter();
  AdapterGradients ascent(*before);
  Fill(ascent, 1, 0.001);
  const double norm = Norm(ascent);
  const Optimizer::Update update = optimizer.Apply(ascent, stream_);
  EXPECT_EQ(update.gradient_norm, norm);
  // Each new weight was rounded to f32 once.
  const double distance = Distance(optimizer.adapter(), *before);
  EXPECT_NEAR(update.update_norm, distance, update.adapter_norm * 0x1p-24);
  EXPECT_EQ(update.adapter_norm, optimizer.AdapterNorm());
  EXPECT_GT(update.adapter_norm, 0);
}

TEST_F(OptimizerTest, ALargeGradientIsScaledDownToTheLimit) {
  OptimizerOptions options;
  options.gradient_norm_max = 0.25;
  Optimizer clipped(options, MakeAdapter());
  AdapterGradients ascent(clipped.adapter());
  Fill(ascent, 2, 1.0);
  const double norm = Norm(ascent);
  ASSERT_GT(norm, options.gradient_norm_max);
  EXPECT_EQ(clipped.Apply(ascent, stream_).gradient_norm, norm) << "as it came";
  // m = (1 - beta1) g after the first step.
  const double scaled = Norm(clipped.first_moment()) / (1 - options.adamw.beta1);
  EXPECT_NEAR(scaled, options.gradient_norm_max, options.gradient_norm_max * 8 * 0x1p-24);
}

TEST_F(OptimizerTest, AGradientThatIsNotFiniteChangesNothing) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Optimizer optimizer({}, MakeAdapter());
    AdapterGradients ascent(optimizer.adapter());
    Fill(ascent, 3, 0.1);
    ascent.A(2, Linear::kUp).Row<float>(1)[3] = bad;
    const std::string before = Digest(optimizer);
    EXPECT_FALSE(optimizer.Apply(ascent, stream_).applied);
    EXPECT_EQ(Digest(optimizer), before);
    EXPECT_EQ(Norm(optimizer.first_moment()), 0);
    EXPECT_EQ(Norm(optimizer.second_moment()), 0);
    EXPECT_EQ(optimizer.steps(), 0);
  }
}

TEST_F(OptimizerTest, GoesOnFromSavedMomentsAsIfItHadNotStopped) {
  Optimizer whole({}, MakeAdapter());
  AdapterGradients ascent(whole.adapter());
  Fill(ascent, 4, 0.1);
  whole.Apply(ascent, stream_);
  Optimizer resumed({}, whole.adapter().Clone(), AdapterGradients(whole.first_moment()),
                    AdapterGradients(whole.second_moment()), whole.steps());
  for (Optimizer* optimizer : {&whole, &resumed}) {
    Fill(ascent, 5, 0.1);
    optimizer->Apply(ascent, stream_);
  }
  EXPECT_EQ(Digest(whole), Digest(resumed));
  EXPECT_EQ(resumed.steps(), 2);
}

}  // namespace
}  // namespace alchemist
