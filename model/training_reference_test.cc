// Ten training steps of an adapter in bf16: the losses against the same steps in double, by
// STYLE.md's rule: no further from them than twice those of a naive model in bf16. (In f32:
// golden_test.cc, against PyTorch.) Losses of all families are one measure: after ten steps of
// AdamW a single one is a matter of luck.
#include <complex>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/adamw.h"
#include "kernels/adamw_reference.h"
#include "kernels/testing.h"
#include "model/backward.h"
#include "model/pass_testing.h"
#include "model/reference_model.h"

namespace alchemist {
namespace {

constexpr int64_t kSteps = 10;
constexpr int64_t kLength = 8;
constexpr int64_t kTrained = 4;  // The last tokens.
constexpr AdamWOptions kOptimizer = {.learning_rate = 0.02};

std::unique_ptr<LoraAdapter> MakeAdapter(const ModelConfig& config) {
  LoraConfig lora;
  lora.rank = 1;
  lora.targets = {Linear::kQ, Linear::kV, Linear::kDown};
  auto adapter = LoraAdapter::Create(config, lora, /*seed=*/2);
  CHECK(adapter.ok()) << adapter.status();
  return *std::move(adapter);
}

// The mean NLL before each step. Gradients by complex step.
template <typename Real>
std::vector<Real> ReferenceLosses(const Model& model, const LoraAdapter& adapter,
                                  absl::Span<const int32_t> tokens) {
  std::vector<ReferenceTarget> targets;
  for (int64_t i = kLength - kTrained; i < kLength; ++i) {
    targets.push_back({i - 1, tokens[i], -1.0 / kTrained});
  }
  const absl::Span<const int32_t> inputs = tokens.first(kLength - 1);
  ReferenceModel<std::complex<Real>> reference(model, &adapter);
  const auto tensors = reference.AdapterTensors();
  std::vector<std::vector<Real>> first_moments, second_moments;
  for (const auto& tensor : tensors) first_moments.emplace_back(tensor.tensor->values.size());
  second_moments = first_moments;
  std::vector<Real> losses;
  for (int64_t step = 1; step <= kSteps; ++step) {
    losses.push_back(reference.Objective(inputs, targets).real());
    std::vector<std::vector<Real>> gradients;
    for (const auto& tensor : tensors) {
      gradients.push_back(ObjectiveGradient(reference, tensor.tensor->values, inputs, targets));
    }
    const AdamWStepConstants constants(kOptimizer, step, 1.0);
    for (size_t i = 0; i < tensors.size(); ++i) {
      for (size_t j = 0; j < gradients[i].size(); ++j) {
        Real weight = tensors[i].tensor->values[j].real();
        AdamWReference(constants, gradients[i][j], &weight, &first_moments[i][j],
                       &second_moments[i][j]);
        tensors[i].tensor->values[j] = weight;
      }
    }
  }
  return losses;
}

// The same by the real passes.
class Training {
 public:
  Training(const Model& model, const LoraAdapter& adapter, absl::Span<const int32_t> tokens)
      : model_(model), adapter_(adapter.Clone()), gradients_(adapter) {
    text_ = {-1, {tokens.begin(), tokens.end() - 1}, {}, adapter_.get()};
    for (int64_t i = 0; i < kTrained; ++i) {
      text_.head_rows.push_back(static_cast<int32_t>(kLength - kTrained - 1 + i));
      trained_.push_back({0, i, tokens[kLength - kTrained + i]});
    }
    for (int64_t layer = 0; layer < gradients_.layers(); ++layer) {
      for (const Linear linear : adapter.config().targets) {
        AddTensor(gradients_.A(layer, linear), adapter_->MutableA(layer, linear));
        AddTensor(gradients_.B(layer, linear), adapter_->MutableB(layer, linear));
      }
    }
  }

  std::vector<float> Losses() {
    std::vector<float> losses;
    for (int64_t step = 1; step <= kSteps; ++step) {
      losses.push_back(Backward());
      for (Tensor& tensor : tensors_) {
        AdamWStep(kOptimizer, step, 1.0, tensor.gradient, tensor.weights,
                  tensor.first_moment.view(), tensor.second_moment.view(), machine_.stream);
      }
    }
    return losses;
  }

 private:
  struct Tensor {
    TensorView gradient, weights;
    TestMatrix first_moment, second_moment;
  };

  void AddTensor(TensorView gradient, TensorView weights) {
    tensors_.push_back({gradient, weights, TestMatrix(weights.rows, weights.width),
                        TestMatrix(weights.rows, weights.width)});
  }

  // The loss; gradients_ hold its gradient.
  float Backward() {
    gradients_.SetZero();
    TestForest forest(model_, {text_}, &machine_);
    forest.Forward(0);
    const std::vector<BackwardNode> nodes = forest.Nodes();
    BackwardOptions options;
    options.adapter_gradients = &gradients_;
    auto pass =
        BackwardPass::Create(model_, nodes, trained_, options, machine_.device, machine_.stream);
    CHECK(pass.ok()) << pass.status();
    (*pass)->Run(std::vector<float>(kTrained, -1.0f / kTrained));
    double loss = 0;
    for (const float log_prob : (*pass)->LogProbs()) loss -= log_prob / kTrained;
    return static_cast<float>(loss);
  }

  TestMachine machine_;
  const Model& model_;
  const std::unique_ptr<LoraAdapter> adapter_;
  AdapterGradients gradients_;
  std::vector<Tensor> tensors_;
  TestNode text_;
  std::vector<TrainedToken> trained_;
};

TEST(TrainingReferenceTest, LossesOfTenStepsInBf16AreAsCloseToTheTruthAsANaiveModels) {
  std::vector<float> got, naive;
  std::vector<double> reference;
  for (const ModelFamily family : kFamiliesForTest) {
    TestMachine machine;
    const ModelConfig config = SmallConfigForTest(family);
    const auto model = RandomModelForTest(config, 1, machine.device, DType::kBf16);
    const auto adapter = MakeAdapter(config);
    Random random(3);
    const std::vector<int32_t> tokens = RandomTokens(kLength, config.vocab, &random);
    const std::vector<float> losses = Training(*model, *adapter, tokens).Losses();
    EXPECT_LT(losses.back(), 0.9f * losses.front()) << ModelTypeName(family) << " did not learn";
    const std::vector<float> naive_losses = ReferenceLosses<float>(*model, *adapter, tokens);
    const std::vector<double> true_losses = ReferenceLosses<double>(*model, *adapter, tokens);
    got.insert(got.end(), losses.begin(), losses.end());
    naive.insert(naive.end(), naive_losses.begin(), naive_losses.end());
    reference.insert(reference.end(), true_losses.begin(), true_losses.end());
  }
  ExpectWithinTwiceNaive("losses", got, naive, reference);
}

}  // namespace
}  // namespace alchemist
