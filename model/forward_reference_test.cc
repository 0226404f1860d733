// The forward pass against plain loops in double, by STYLE.md's rule: no worse than twice the same
// loops in float.
#include <memory>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "model/pass_testing.h"
#include "model/random_model.h"
#include "model/reference_model.h"

namespace alchemist {
namespace {

constexpr int64_t kLength = 45;  // More than one block of 32 keys.

class ForwardReferenceTest : public testing::TestWithParam<PassTestParam> {};

TEST_P(ForwardReferenceTest, LogitsOfPrefillAndDecodeAreThoseOfPlainLoops) {
  TestMachine machine;
  const ModelConfig config = TinyModelConfig(GetParam().family);
  const auto model = RandomModelForTest(config, 1, machine.device, GetParam().dtype);
  const auto adapter = RandomAdapterForTest(config, 2);
  Random random(3);
  const std::vector<int32_t> tokens = RandomTokens(kLength, config.vocab, &random);
  const std::vector<double> reference =
      ReferenceModel<double>(*model, adapter.get()).Logits(tokens).values;
  const std::vector<float> naive =
      ReferenceModel<float>(*model, adapter.get()).Logits(tokens).values;

  TestNode text = {-1, tokens, {}, adapter.get()};
  for (int32_t row = 0; row < kLength; ++row) text.head_rows.push_back(row);
  TestForest prefill(*model, {text}, &machine);
  prefill.Forward(0);
  ExpectWithinTwiceNaive("prefill", prefill.Logits(0), naive, reference);

  // A chain of one-token nodes, each decoded on those before it.
  std::vector<TestNode> chain;
  for (int node = 0; node < kLength; ++node) {
    chain.push_back({node - 1, {tokens[node]}, {0}, adapter.get()});
  }
  TestForest decode(*model, chain, &machine);
  std::vector<float> decoded;
  for (int node = 0; node < kLength; ++node) {
    decode.ForwardTogether(node, node + 1, RowPhase::kDecode);
    decoded.insert(decoded.end(), decode.Logits(node).begin(), decode.Logits(node).end());
  }
  ExpectWithinTwiceNaive("decode", decoded, naive, reference);
}

INSTANTIATE_TEST_SUITE_P(Families, ForwardReferenceTest, testing::ValuesIn(kPassTestParams),
                         kPassTestName);

}  // namespace
}  // namespace alchemist
