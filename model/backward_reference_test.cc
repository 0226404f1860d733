// Every gradient of every family against the complex step through plain loops in double. The
// measure is the same complex step in float: no tensor's relative error is more than twice the
// largest that it makes, over several texts. (Tensor by tensor the rule would be a matter of luck:
// some have 8 elements.)
#include <algorithm>
#include <complex>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "model/backward.h"
#include "model/pass_testing.h"
#include "model/reference_model.h"

namespace alchemist {
namespace {

constexpr int64_t kLength = 7;
constexpr uint64_t kTextSeeds[] = {3, 4, 5};

class Errors {
 public:
  void Add(const std::string& name, absl::Span<const float> got, absl::Span<const float> naive,
           absl::Span<const double> reference) {
    errors_.emplace_back(name, RelativeError(got, reference));
    naive_largest_ = std::max(naive_largest_, RelativeError(naive, reference));
  }
  void ExpectAtMostTwiceNaive() const {
    for (const auto& [name, error] : errors_) EXPECT_LE(error, 2 * naive_largest_) << name;
  }

 private:
  std::vector<std::pair<std::string, double>> errors_;
  double naive_largest_ = 0;
};

class BackwardReferenceTest : public testing::TestWithParam<PassTestParam> {
 protected:
  BackwardReferenceTest()
      : config_(SmallConfigForTest(GetParam().family)),
        model_(RandomModelForTest(config_, 1, machine_.device, GetParam().dtype)),
        adapter_(RandomAdapterForTest(config_, 2)) {
    text_.head_rows = {2, 3, 5, 6};
    trained_ = {{0, 0, 7}, {0, 1, 0}, {0, 2, 16}, {0, 3, 4}, {0, 1, 2}};
    c_ = {-0.5f, 0.25f, -1.0f, 0.75f, -0.125f};
    for (size_t t = 0; t < trained_.size(); ++t) {
      targets_.push_back({text_.head_rows[trained_[t].head_row], trained_[t].token, c_[t]});
    }
  }

  void DrawText(uint64_t seed) {
    Random random(seed);
    text_.tokens = RandomTokens(kLength, config_.vocab, &random);
  }

  // Runs forward and backward of the text with `adapter` (or null).
  void Run(const LoraAdapter* adapter, BackwardOptions options) {
    text_.adapter = adapter;
    TestForest forest(*model_, {text_}, &machine_);
    forest.Forward(0);
    RunBackward(forest, trained_, options);
  }

  // The same with all after the third token as decode rows, as serving records answers.
  void RunDecoded(const LoraAdapter* adapter, BackwardOptions options) {
    constexpr int32_t kPromptRows = 3;
    TestNode prompt = {-1, text_.tokens, {}, adapter};
    TestNode answer = {0, text_.tokens, {}, adapter};
    prompt.tokens.resize(kPromptRows);
    answer.tokens.erase(answer.tokens.begin(), answer.tokens.begin() + kPromptRows);
    std::vector<TrainedToken> trained;
    for (const int32_t row : text_.head_rows) {
      if (row < kPromptRows) prompt.head_rows.push_back(row);
      if (row >= kPromptRows) answer.head_rows.push_back(row - kPromptRows);
    }
    const int64_t prompt_heads = static_cast<int64_t>(prompt.head_rows.size());
    for (const TrainedToken& token : trained_) {
      const bool of_prompt = token.head_row < prompt_heads;
      trained.push_back(
          {of_prompt ? 0 : 1, token.head_row - (of_prompt ? 0 : prompt_heads), token.token});
    }
    TestForest forest(*model_, {prompt, answer}, &machine_);
    forest.Forward(0);
    forest.ForwardTogether(1, 2, RowPhase::kDecode);
    RunBackward(forest, trained, options);
  }

  void RunBackward(TestForest& forest, const std::vector<TrainedToken>& trained,
                   BackwardOptions options) {
    const std::vector<BackwardNode> nodes = forest.Nodes();
    auto pass =
        BackwardPass::Create(*model_, nodes, trained, options, machine_.device, machine_.stream);
    ASSERT_TRUE(pass.ok());
    (*pass)->Run(c_);
  }

  void ExpectAdapterGradients(bool decoded);

  TestMachine machine_;
  const ModelConfig config_;
  const std::unique_ptr<const Model> model_;
  const std::unique_ptr<LoraAdapter> adapter_;
  TestNode text_;
  std::vector<TrainedToken> trained_;
  std::vector<float> c_;
  std::vector<ReferenceTarget> targets_;
};

void BackwardReferenceTest::ExpectAdapterGradients(bool decoded) {
  ReferenceModel<std::complex<double>> reference(*model_, adapter_.get());
  ReferenceModel<std::complex<float>> naive(*model_, adapter_.get());
  const auto reference_tensors = reference.AdapterTensors();
  const auto naive_tensors = naive.AdapterTensors();
  Errors errors;
  for (const uint64_t seed : kTextSeeds) {
    DrawText(seed);
    AdapterGradients gradients(*adapter_);
    BackwardOptions options;
    options.adapter_gradients = &gradients;
    if (decoded) {
      RunDecoded(adapter_.get(), options);
    } else {
      Run(adapter_.get(), options);
    }
    size_t i = 0;
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      for (const Linear linear : kLinears) {
        for (const TensorView& got : {gradients.A(layer, linear), gradients.B(layer, linear)}) {
          errors.Add(
              reference_tensors[i].name, Flatten(got),
              ObjectiveGradient(naive, naive_tensors[i].tensor->values, text_.tokens, targets_),
              ObjectiveGradient(reference, reference_tensors[i].tensor->values, text_.tokens,
                                targets_));
          ++i;
        }
      }
    }
    EXPECT_EQ(i, reference_tensors.size());
  }
  errors.ExpectAtMostTwiceNaive();
}

TEST_P(BackwardReferenceTest, AdapterGradients) { ExpectAdapterGradients(/*decoded=*/false); }

// What decode rows lose against others is within the same bound.
TEST_P(BackwardReferenceTest, AdapterGradientsOverDecodeRows) {
  ExpectAdapterGradients(/*decoded=*/true);
}

TEST_P(BackwardReferenceTest, FullGradients) {
  ReferenceModel<std::complex<double>> reference(*model_, nullptr);
  ReferenceModel<std::complex<float>> naive(*model_, nullptr);
  const auto reference_tensors = reference.Weights();
  const auto naive_tensors = naive.Weights();
  Errors errors;
  for (const uint64_t seed : kTextSeeds) {
    DrawText(seed);
    auto gradients = ParameterSet::Create(config_, machine_.device);
    ASSERT_TRUE(gradients.ok());
    BackwardOptions options;
    options.full_gradients = &*gradients;
    Run(nullptr, options);
    size_t found = 0;
    for (size_t i = 0; i < reference_tensors.size(); ++i) {
      for (const ParameterSet::Named& got : gradients->tensors()) {
        if (got.name != reference_tensors[i].name) continue;
        errors.Add(
            got.name, Flatten(got.tensor),
            ObjectiveGradient(naive, naive_tensors[i].tensor->values, text_.tokens, targets_),
            ObjectiveGradient(reference, reference_tensors[i].tensor->values, text_.tokens,
                              targets_));
        ++found;
      }
    }
    EXPECT_EQ(found, gradients->tensors().size());
  }
  errors.ExpectAtMostTwiceNaive();
}

INSTANTIATE_TEST_SUITE_P(Families, BackwardReferenceTest, testing::ValuesIn(kPassTestParams),
                         kPassTestName);

}  // namespace
}  // namespace alchemist
