// The central claim, in one process: gradients over recorded activations are those of a forward and
// backward of everything, bit for bit.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "model/backward.h"
#include "model/pass_testing.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

constexpr int64_t kResponseLength = 6;  // The last token is never run.

class BackwardReuseTest : public testing::TestWithParam<PassTestParam> {
 protected:
  BackwardReuseTest()
      : config_(TinyModelConfig(GetParam().family)),
        model_(RandomModelForTest(config_, 1, machine_.device, GetParam().dtype)),
        adapter_(RandomAdapterForTest(config_, 2)),
        random_(4) {}

  TestNode Prompt(int64_t length) {
    const int32_t last = static_cast<int32_t>(length - 1);
    return {-1, RandomTokens(length, config_.vocab, &random_), {last}, adapter_.get()};
  }
  TestNode Response(const std::vector<int32_t>& tokens) const {
    return {0, {tokens.begin(), tokens.end() - 1}, {0, 1, 2, 3, 4}, adapter_.get()};
  }
  // The response in `node`, its first token predicted by `prompt`'s only head row.
  static void AddTargets(const std::vector<int32_t>& tokens, int prompt, int node,
                         std::vector<TrainedToken>& trained) {
    trained.push_back({prompt, 0, tokens[0]});
    for (int64_t i = 1; i < kResponseLength; ++i) trained.push_back({node, i - 1, tokens[i]});
  }
  // c of one response's tokens.
  static std::vector<float> Coefficients() { return {-0.5f, 0.25f, -1.0f, 0.75f, -0.125f, -0.3f}; }

  void ExpectSame(const std::string& what, TestGradients got, TestGradients wanted) {
    ExpectSameBits((what + ", log-probs").c_str(), got.log_probs, wanted.log_probs);
    ExpectSameBits((what + ", gradients").c_str(), Flatten(*got.adapter), Flatten(*wanted.adapter));
  }

  TestMachine machine_;
  const ModelConfig config_;
  const std::unique_ptr<const Model> model_;
  const std::unique_ptr<LoraAdapter> adapter_;
  Random random_;
};

TEST_P(BackwardReuseTest, RecordedPromptGivesTheGradientsOfTheWholeTextBitForBit) {
  TestMachine two_threads(2);
  for (const int64_t length : {1, 2, 31, 32, 33, 63, 64, 65, 100}) {
    const TestNode prompt = Prompt(length);
    const std::vector<int32_t> response = RandomTokens(kResponseLength, config_.vocab, &random_);

    TestNode text = prompt;
    text.tokens.insert(text.tokens.end(), response.begin(), response.end() - 1);
    std::vector<TrainedToken> text_targets;
    for (int64_t i = 0; i < kResponseLength; ++i) {
      if (i > 0) text.head_rows.push_back(static_cast<int32_t>(length - 1 + i));
      text_targets.push_back({0, i, response[i]});
    }
    TestForest whole(*model_, {text}, &machine_);
    whole.Forward(0);
    const auto wanted = [&] {
      return BackwardForTest(*model_, whole.Nodes(), text_targets, Coefficients(), *adapter_,
                             &machine_);
    };

    TestForest recorded(*model_, {prompt, Response(response)}, &two_threads);
    recorded.Forward(7);
    std::vector<TrainedToken> targets;
    AddTargets(response, 0, 1, targets);
    for (const int64_t piece_rows : {1, 5, 32}) {
      ExpectSame(absl::StrCat("prompt of ", length, ", pieces of ", piece_rows),
                 BackwardForTest(*model_, recorded.Nodes(piece_rows), targets, Coefficients(),
                                 *adapter_, &two_threads),
                 wanted());
    }
  }
}

TEST_P(BackwardReuseTest, TwoResponsesOnOneRecordAreThoseOnARecomputedOne) {
  const TestNode prompt = Prompt(65);
  const std::vector<int32_t> first = RandomTokens(kResponseLength, config_.vocab, &random_);
  const std::vector<int32_t> second = RandomTokens(kResponseLength, config_.vocab, &random_);
  std::vector<TrainedToken> targets;
  AddTargets(first, 0, 1, targets);
  AddTargets(second, 0, 2, targets);
  std::vector<float> c = Coefficients();
  for (const float value : Coefficients()) c.push_back(0.5f * value);

  TestForest recorded(*model_, {prompt, Response(first), Response(second)}, &machine_);
  recorded.Forward(33);
  TestForest recomputed(*model_, {prompt, Response(first), Response(second)}, &machine_);
  recomputed.ForwardTogether(0, 1);
  recomputed.ForwardTogether(1, 3);
  ExpectSame("forest",
             BackwardForTest(*model_, recorded.Nodes(32), targets, c, *adapter_, &machine_),
             BackwardForTest(*model_, recomputed.Nodes(), targets, c, *adapter_, &machine_));
}

TEST_P(BackwardReuseTest, ForestsGradientIsTheSumOfItsSequences) {
  const TestNode prompt = Prompt(40);
  std::vector<double> sum;
  std::vector<TrainedToken> targets;
  std::vector<float> c;
  std::vector<TestNode> nodes = {prompt};
  for (int node = 1; node <= 3; ++node) {
    const std::vector<int32_t> response = RandomTokens(kResponseLength, config_.vocab, &random_);
    nodes.push_back(Response(response));
    AddTargets(response, 0, node, targets);
    TestForest single(*model_, {prompt, Response(response)}, &machine_);
    single.Forward(0);
    std::vector<TrainedToken> own_targets;
    AddTargets(response, 0, 1, own_targets);
    const std::vector<float> own = Flatten(
        *BackwardForTest(*model_, single.Nodes(), own_targets, Coefficients(), *adapter_, &machine_)
             .adapter);
    sum.resize(own.size());
    for (size_t i = 0; i < own.size(); ++i) sum[i] += own[i];
    for (const float value : Coefficients()) c.push_back(value);
  }
  TestForest forest(*model_, nodes, &machine_);
  forest.Forward(0);
  const TestGradients got =
      BackwardForTest(*model_, forest.Nodes(), targets, c, *adapter_, &machine_);
  // Each element is a sum over all rows, layer after layer.
  EXPECT_LT(RelativeError(Flatten(*got.adapter), sum),
            Roundings(config_.layers * (40 + 3 * kResponseLength)));
}

// A child can leave its parent before the parent's end (DESIGN.md: record, tokens used).
TEST_P(BackwardReuseTest, ParentsRowsPastTheForkAreNotSeen) {
  const TestNode prompt = Prompt(50);
  const std::vector<int32_t> response = RandomTokens(kResponseLength, config_.vocab, &random_);
  TestNode fork = prompt;  // What the response continues: the prompt's first 40 tokens.
  fork.tokens.resize(40);
  fork.head_rows = {};
  std::vector<TrainedToken> targets;
  for (int64_t i = 1; i < kResponseLength; ++i) targets.push_back({1, i - 1, response[i]});
  const std::vector<float> c(targets.size(), -1.0f);

  TestForest exact(*model_, {fork, Response(response)}, &machine_);
  exact.Forward(0);
  TestForest longer(*model_, {prompt}, &machine_);
  longer.Forward(0);
  std::vector<BackwardNode> nodes = {longer.Nodes(32)[0], exact.Nodes(32)[1]};
  ExpectSame("fork", BackwardForTest(*model_, nodes, targets, c, *adapter_, &machine_),
             BackwardForTest(*model_, exact.Nodes(), targets, c, *adapter_, &machine_));
}

INSTANTIATE_TEST_SUITE_P(Families, BackwardReuseTest, testing::ValuesIn(kPassTestParams),
                         kPassTestName);

}  // namespace
}  // namespace alchemist
