#include "model/activation_layout.h"

#include <vector>

#include "gtest/gtest.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

std::vector<ActivationTensor> Names(const std::vector<TensorSpec>& specs) {
  std::vector<ActivationTensor> names;
  for (const TensorSpec& spec : specs) names.push_back(spec.tensor);
  return names;
}

bool Holds(const std::vector<TensorSpec>& specs, ActivationTensor tensor) {
  for (const TensorSpec& spec : specs) {
    if (spec.tensor == tensor) return true;
  }
  return false;
}

TEST(ActivationLayoutTest, FirstEntryHasNoX) {
  const ActivationLayout layout(TinyModelConfig(ModelFamily::kLlama), DType::kF32, 0);
  EXPECT_EQ(Names(layout.layer(0)),
            (std::vector<ActivationTensor>{ActivationTensor::kQ, ActivationTensor::kAttention,
                                           ActivationTensor::kLse, ActivationTensor::kH,
                                           ActivationTensor::kGate, ActivationTensor::kUp}));
  EXPECT_TRUE(Holds(layout.layer(1), ActivationTensor::kX));
}

TEST(ActivationLayoutTest, NothingIsKeptBelowTheLowestTrainedLayer) {
  const ActivationLayout layout(TinyModelConfig(ModelFamily::kLlama), DType::kF32, 2);
  EXPECT_TRUE(layout.layer(0).empty());
  EXPECT_TRUE(layout.layer(1).empty());
  EXPECT_TRUE(Holds(layout.layer(2), ActivationTensor::kX));
}

TEST(ActivationLayoutTest, LastLayerKeepsOnlyWhatLeadsToKvForAllRows) {
  for (const ModelFamily family : {ModelFamily::kLlama, ModelFamily::kQwen3}) {
    const ModelConfig config = TinyModelConfig(family);
    const ActivationLayout layout(config, DType::kF32, 0);
    for (const TensorSpec& spec : layout.layer(config.layers - 1)) {
      const bool leads_to_kv =
          spec.tensor == ActivationTensor::kX || spec.tensor == ActivationTensor::kKRaw;
      EXPECT_EQ(spec.head_rows_only, !leads_to_kv) << ActivationTensorName(spec.tensor);
    }
    for (const TensorSpec& spec : layout.layer(0)) EXPECT_FALSE(spec.head_rows_only);
    ASSERT_EQ(layout.layer(config.layers).size(), 1u);
    EXPECT_TRUE(layout.layer(config.layers)[0].head_rows_only);
  }
}

TEST(ActivationLayoutTest, OnlyQkNormFamiliesKeepKBeforeItsNorm) {
  const ActivationLayout llama(TinyModelConfig(ModelFamily::kLlama), DType::kF32, 0);
  const ActivationLayout qwen3(TinyModelConfig(ModelFamily::kQwen3), DType::kF32, 0);
  EXPECT_FALSE(Holds(llama.layer(1), ActivationTensor::kKRaw));
  EXPECT_TRUE(Holds(qwen3.layer(1), ActivationTensor::kKRaw));
}

TEST(ActivationLayoutTest, RecordBytesCountsEveryTensorAndKv) {
  ModelConfig config;
  config.layers = 2;
  config.hidden = 3;
  config.ffn = 5;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 4;
  const ActivationLayout layout(config, DType::kBf16, 0);
  // Per row of layer 0: q 8, attention 8, h 3, gate 5, up 5 in two bytes, lse 2 in four; K and V
  // 4 each. Layer 1 has x 3 and K, V for all rows, the rest for head rows; then x 3 for those.
  constexpr int64_t kLayer = 2 * (8 + 8 + 3 + 5 + 5) + 4 * 2;
  constexpr int64_t kKv = 2 * (4 + 4);
  EXPECT_EQ(layout.RecordBytes(10, 1),
            10 * (kLayer + kKv) + 10 * (2 * 3 + kKv) + 1 * (kLayer + 2 * 3));
}

}  // namespace
}  // namespace alchemist
