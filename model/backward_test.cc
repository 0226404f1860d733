#include "model/backward.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/faulty_device.h"
#include "kernels/log_prob.h"
#include "kernels/testing.h"
#include "model/pass_testing.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptLength = 9;
constexpr int64_t kResponseRows = 4;  // The answer has one more token, which is never run.
// Of gradients summed in another order: each is a sum over all rows, layer after layer.
constexpr double kSumTolerance = Roundings(3 * (kPromptLength + kResponseRows));

// A prompt and one answer on it, forwarded: nodes 0 and 1.
class BackwardTest : public testing::TestWithParam<PassTestParam> {
 protected:
  BackwardTest()
      : config_(TinyModelConfig(GetParam().family)),
        model_(RandomModelForTest(config_, 1, machine_.device, GetParam().dtype)),
        adapter_(RandomAdapterForTest(config_, 2)),
        forest_(MakeForest(0)) {
    Random random(5);
    const std::vector<int32_t> targets = RandomTokens(kResponseRows + 1, config_.vocab, &random);
    trained_.push_back({0, 0, targets[0]});
    for (int64_t i = 0; i < kResponseRows; ++i) trained_.push_back({1, i, targets[i + 1]});
    c_ = {-0.5f, 0.25f, -1.0f, 0.75f, -0.125f};
  }

  std::unique_ptr<TestForest> MakeForest(int64_t lowest_trained_layer) {
    Random random(4);
    const TestNode prompt = {-1,
                             RandomTokens(kPromptLength, config_.vocab, &random),
                             {kPromptLength - 1},
                             adapter_.get()};
    const TestNode response = {
        0, RandomTokens(kResponseRows, config_.vocab, &random), {0, 1, 2, 3}, adapter_.get()};
    auto forest = std::make_unique<TestForest>(*model_, std::vector<TestNode>{prompt, response},
                                               &machine_, lowest_trained_layer);
    forest->Forward(0);
    return forest;
  }

  std::vector<float> Gradient(const std::vector<BackwardNode>& nodes) {
    return Flatten(*BackwardForTest(*model_, nodes, trained_, c_, *adapter_, &machine_).adapter);
  }

  TestMachine machine_;
  const ModelConfig config_;
  const std::unique_ptr<const Model> model_;
  const std::unique_ptr<LoraAdapter> adapter_;
  const std::unique_ptr<TestForest> forest_;
  std::vector<TrainedToken> trained_;
  std::vector<float> c_;
};

TEST_P(BackwardTest, LogProbsAreThoseOfTheForwardsLogits) {
  const TestGradients got =
      BackwardForTest(*model_, forest_->Nodes(), trained_, c_, *adapter_, &machine_);
  for (size_t t = 0; t < trained_.size(); ++t) {
    const TrainedToken& target = trained_[t];
    const absl::Span<const float> logits = forest_->Logits(target.node);
    EXPECT_NEAR(
        got.log_probs[t],
        LogSoftmaxAt(logits.subspan(target.head_row * config_.vocab, config_.vocab), target.token),
        1e-5)
        << t;
  }
}

TEST_P(BackwardTest, TwoTargetsOfOneRowAddUp) {
  const std::vector<BackwardNode> nodes = forest_->Nodes();
  const std::vector<TrainedToken> targets = {{0, 0, 3}, {1, 1, 4}, {0, 0, 5}, {0, 0, 3}};
  const std::vector<float> together = Flatten(
      *BackwardForTest(*model_, nodes, targets, {1, 2, 3, 4}, *adapter_, &machine_).adapter);
  std::vector<double> sum(together.size());
  for (size_t t = 0; t < targets.size(); ++t) {
    const std::vector<float> one = Flatten(
        *BackwardForTest(*model_, nodes, {targets[t]}, {t + 1.0f}, *adapter_, &machine_).adapter);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += one[i];
  }
  EXPECT_LT(RelativeError(together, sum), kSumTolerance);
}

TEST_P(BackwardTest, GradientsAreAddedToWhatIsThere) {
  const std::vector<BackwardNode> nodes = forest_->Nodes();
  AdapterGradients twice(*adapter_);
  for (int i = 0; i < 2; ++i) {
    BackwardOptions options;
    options.adapter_gradients = &twice;
    auto pass =
        BackwardPass::Create(*model_, nodes, trained_, options, machine_.device, machine_.stream);
    ASSERT_TRUE(pass.ok());
    (*pass)->Run(c_);
  }
  std::vector<double> wanted;
  for (const float value : Gradient(nodes)) wanted.push_back(2.0 * value);
  EXPECT_LT(RelativeError(Flatten(twice), wanted), kSumTolerance);
}

// The record of a run that trains the upper layers alone holds nothing below them.
TEST_P(BackwardTest, UpperLayersGradientsNeedNothingBelow) {
  const int64_t lowest = 1;
  const TestGradients all =
      BackwardForTest(*model_, forest_->Nodes(), trained_, c_, *adapter_, &machine_);
  const std::unique_ptr<TestForest> upper = MakeForest(lowest);
  const TestGradients got =
      BackwardForTest(*model_, upper->Nodes(), trained_, c_, *adapter_, &machine_, lowest);
  ExpectSameBits("upper layers", Flatten(*got.adapter, lowest), Flatten(*all.adapter, lowest));
  for (const Linear linear : kLinears) {
    EXPECT_EQ(got.adapter->A(0, linear).Row<float>(0)[0], 0.0f) << LinearName(linear);
  }
}

// What layer_done says of a layer is true: its memory can be given to somebody else.
TEST_P(BackwardTest, LayersReportedDoneAreReadNoMore) {
  const std::vector<float> wanted = Gradient(forest_->Nodes());
  std::vector<BackwardNode> nodes = forest_->Nodes();
  AdapterGradients gradients(*adapter_);
  std::vector<int64_t> done;
  const auto scribble = [](ConstTensorView view) {
    std::memset(const_cast<void*>(view.data), 0xff, view.bytes());
  };
  BackwardOptions options;
  options.adapter_gradients = &gradients;
  options.layer_done = [&](int64_t layer) {
    done.push_back(layer);
    for (const BackwardNode& node : nodes) {
      for (const RowPieces& pieces : node.activations[layer]) {
        for (const ConstTensorView& piece : pieces.pieces()) scribble(piece);
      }
      if (layer == config_.layers) continue;
      for (const KvRun& run : node.kv[layer]) {
        scribble(run.k);
        scribble(run.v);
      }
    }
  };
  auto pass =
      BackwardPass::Create(*model_, nodes, trained_, options, machine_.device, machine_.stream);
  ASSERT_TRUE(pass.ok());
  (*pass)->Run(c_);
  EXPECT_EQ(done, (std::vector<int64_t>{3, 2, 1, 0}));
  ExpectSameBits("gradient", Flatten(gradients), wanted);
}

// Nothing recorded is carried along unread: an error in any tensor of any layer shows.
TEST_P(BackwardTest, FlippedMantissaBitOfEveryRecordedTensorChangesTheGradient) {
  const std::vector<BackwardNode> nodes = forest_->Nodes();
  const std::vector<float> wanted = Gradient(nodes);
  const auto expect_used = [&](ConstTensorView view, const std::string& what) {
    // Both types have 8 bits of exponent: the mantissa's top bit is in the element's upper half.
    char* const end =
        static_cast<char*>(const_cast<void*>(view.data)) + BytesPerElement(view.dtype);
    end[-2] ^= 0x40;
    EXPECT_NE(Gradient(nodes), wanted) << what;
    end[-2] ^= 0x40;
  };
  for (size_t node = 0; node < nodes.size(); ++node) {
    for (size_t layer = 0; layer < nodes[node].activations.size(); ++layer) {
      const std::string where = absl::StrCat("node ", node, " layer ", layer, " ");
      for (int i = 0; i < kActivationTensors; ++i) {
        const RowPieces& pieces = nodes[node].activations[layer][i];
        if (pieces.rows() == 0) continue;
        expect_used(pieces.pieces()[0],
                    where + ActivationTensorName(static_cast<ActivationTensor>(i)));
      }
      if (layer == nodes[node].kv.size()) continue;
      expect_used(nodes[node].kv[layer][0].k, where + "K");
      expect_used(nodes[node].kv[layer][0].v, where + "V");
    }
  }
  ExpectSameBits("after all flips back", Gradient(nodes), wanted);
}

TEST_P(BackwardTest, PassSurvivesEveryFailedAllocation) {
  const std::vector<BackwardNode> nodes = forest_->Nodes();
  const int64_t before = machine_.device.bytes_allocated();
  for (int64_t fail_at = 1;; ++fail_at) {
    FaultyDevice faulty(&machine_.device, fail_at);
    const auto pass =
        BackwardPass::Create(*model_, nodes, trained_, BackwardOptions(), faulty, machine_.stream);
    if (pass.ok()) {
      EXPECT_EQ(fail_at, faulty.allocations() + 1);
      break;
    }
    EXPECT_EQ(pass.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(machine_.device.bytes_allocated(), before);
  }
  EXPECT_EQ(machine_.device.bytes_allocated(), before);
}

TEST_P(BackwardTest, BatchWithoutTrainedTokensGivesNothing) {
  const std::vector<BackwardNode> nodes = forest_->Nodes();
  const TestGradients got = BackwardForTest(*model_, nodes, {}, {}, *adapter_, &machine_);
  EXPECT_TRUE(got.log_probs.empty());
  for (const float value : Flatten(*got.adapter)) ASSERT_EQ(value, 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Families, BackwardTest, testing::ValuesIn(kPassTestParams), kPassTestName);

}  // namespace
}  // namespace alchemist
