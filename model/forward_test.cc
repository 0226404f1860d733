#include "model/forward.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/faulty_device.h"
#include "kernels/testing.h"
#include "model/pass_testing.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptLength = 100;

class ForwardTest : public testing::TestWithParam<PassTestParam> {
 protected:
  ForwardTest()
      : config_(TinyModelConfig(GetParam().family)),
        model_(RandomModelForTest(config_, 1, machine_.device, GetParam().dtype)),
        adapter_(RandomAdapterForTest(config_, 2)),
        other_adapter_(RandomAdapterForTest(config_, 3)),
        random_(4),
        prompt_{-1,
                RandomTokens(kPromptLength, config_.vocab, &random_),
                {31, 32, kPromptLength - 1},
                adapter_.get()} {}

  TestMachine machine_;
  const ModelConfig config_;
  const std::unique_ptr<const Model> model_;
  const std::unique_ptr<LoraAdapter> adapter_;
  const std::unique_ptr<LoraAdapter> other_adapter_;
  Random random_;
  const TestNode prompt_;
};

// Every recorded tensor, K/V and logit of a node.
void ExpectSameNode(const std::string& what, const TestForest& got, int got_node,
                    const TestForest& wanted, int wanted_node) {
  const BackwardNode a = got.Nodes()[got_node];
  const BackwardNode b = wanted.Nodes()[wanted_node];
  for (size_t layer = 0; layer < a.activations.size(); ++layer) {
    for (int i = 0; i < kActivationTensors; ++i) {
      const auto tensor = static_cast<ActivationTensor>(i);
      ExpectSameBits(
          absl::StrCat(what, ", layer ", layer, " ", ActivationTensorName(tensor)).c_str(),
          Flatten(Of(a.activations[layer], tensor)), Flatten(Of(b.activations[layer], tensor)));
    }
  }
  for (size_t layer = 0; layer < a.kv.size(); ++layer) {
    const std::string where = absl::StrCat(what, ", layer ", layer);
    ExpectSameBits((where + " K").c_str(), Flatten(a.kv[layer][0].k), Flatten(b.kv[layer][0].k));
    ExpectSameBits((where + " V").c_str(), Flatten(a.kv[layer][0].v), Flatten(b.kv[layer][0].v));
  }
  ExpectSameBits((what + " logits").c_str(), got.Logits(got_node), wanted.Logits(wanted_node));
}

TEST_P(ForwardTest, EveryChunkingAndThreadCountGivesTheSameBits) {
  TestForest whole(*model_, {prompt_}, &machine_);
  whole.Forward(0);
  for (const int threads : {1, 2}) {
    TestMachine machine(threads);
    for (const int64_t chunk : {1, 7, 64, 0}) {
      TestForest chunked(*model_, {prompt_}, &machine);
      chunked.Forward(chunk);
      ExpectSameNode(absl::StrCat("chunks of ", chunk, ", ", threads, " threads"), chunked, 0,
                     whole, 0);
    }
  }
}

TEST_P(ForwardTest, OtherSequencesInTheGroupChangeNoBit) {
  TestForest alone(*model_, {prompt_}, &machine_);
  alone.Forward(0);
  const std::vector<TestNode> company = {
      {-1, RandomTokens(3, config_.vocab, &random_), {2}, nullptr},
      prompt_,
      {-1, RandomTokens(40, config_.vocab, &random_), {}, other_adapter_.get()},
      {-1, RandomTokens(33, config_.vocab, &random_), {0, 32}, adapter_.get()}};
  TestForest together(*model_, company, &machine_);
  together.ForwardTogether(0, 4);
  ExpectSameNode("in company", together, 1, alone, 0);
}

TEST_P(ForwardTest, ResponseOverRecordedKvIsTheWholeSequencesEnd) {
  const std::vector<int32_t> response = RandomTokens(20, config_.vocab, &random_);
  TestNode text = prompt_;
  text.tokens.insert(text.tokens.end(), response.begin(), response.end());
  text.head_rows = {kPromptLength, kPromptLength + 19};
  TestForest whole(*model_, {text}, &machine_);
  whole.Forward(0);
  TestForest split(*model_, {prompt_, {0, response, {0, 19}, adapter_.get()}}, &machine_);
  split.Forward(7);
  ExpectSameBits("logits", split.Logits(1), whole.Logits(0));
}

TEST_P(ForwardTest, DecodeRowsDependOnTheirSequenceOnly) {
  const TestNode next = {0, RandomTokens(1, config_.vocab, &random_), {0}, adapter_.get()};
  TestForest alone(*model_, {prompt_, next}, &machine_);
  alone.Forward(0);
  alone.ForwardTogether(1, 2, RowPhase::kDecode);

  const TestNode other = {-1, RandomTokens(9, config_.vocab, &random_), {}, nullptr};
  const TestNode other_next = {1, RandomTokens(1, config_.vocab, &random_), {0}, nullptr};
  TestNode third = next;
  third.tokens = RandomTokens(1, config_.vocab, &random_);
  TestForest together(*model_, {prompt_, other, third, other_next, next}, &machine_);
  together.Forward(0);
  together.ForwardTogether(2, 5, RowPhase::kDecode);
  ExpectSameBits("decode", together.Logits(4), alone.Logits(1));
}

TEST_P(ForwardTest, UnrecordedLayersGiveTheSameLogits) {
  TestForest recorded(*model_, {prompt_}, &machine_);
  recorded.Forward(0);
  TestForest partly(*model_, {prompt_}, &machine_, config_.layers - 1);
  partly.Forward(0);
  ExpectSameBits("logits", partly.Logits(0), recorded.Logits(0));
}

TEST_P(ForwardTest, ScratchSurvivesEveryFailedAllocation) {
  for (int64_t fail_at = 1;; ++fail_at) {
    CpuDevice device;
    FaultyDevice faulty(&device, fail_at);
    const auto scratch = ForwardScratch::Create(*model_, 16, faulty);
    if (scratch.ok()) {
      EXPECT_EQ(fail_at, faulty.allocations() + 1);
      break;
    }
    EXPECT_EQ(scratch.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(device.bytes_allocated(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ForwardTest, testing::ValuesIn(kPassTestParams), kPassTestName);

}  // namespace
}  // namespace alchemist
