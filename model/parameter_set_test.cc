#include "model/parameter_set.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "kernels/cpu_device.h"
#include "kernels/faulty_device.h"
#include "model/random_model.h"
#include "model/trainable_model.h"

namespace alchemist {
namespace {

TEST(ParameterSetTest, TensorsAreTheViewsOfTheirRoles) {
  CpuDevice device;
  auto set = ParameterSet::Create(TinyModelConfig(ModelFamily::kQwen2), device);
  ASSERT_TRUE(set.ok());
  std::set<std::string> names;
  for (const ParameterSet::Named& named : set->tensors()) {
    EXPECT_TRUE(names.insert(named.name).second) << named.name << " twice";
    if (named.name == "model.layers.1.self_attn.k_proj.bias") {
      EXPECT_EQ(named.tensor.data, set->weights().layers[1].k.bias.data);
      EXPECT_EQ(named.tensor.data, set->Writable(set->weights().layers[1].k.bias).data);
    }
  }
  EXPECT_EQ(names.count("model.layers.1.self_attn.k_proj.bias"), 1u);
  EXPECT_EQ(set->Writable(set->weights().layers[1].o.bias).data, nullptr) << "there is none";
}

TEST(ParameterSetTest, TiedHeadIsTheEmbeddingsMemory) {
  CpuDevice device;
  const auto tied = ParameterSet::Create(TinyModelConfig(ModelFamily::kLlama), device);
  ASSERT_TRUE(tied.ok());
  EXPECT_EQ(tied->weights().head.values.data, tied->weights().embedding.data);
  const auto untied = ParameterSet::Create(TinyModelConfig(ModelFamily::kMistral), device);
  ASSERT_TRUE(untied.ok());
  EXPECT_NE(untied->weights().head.values.data, untied->weights().embedding.data);
}

TEST(ParameterSetTest, WithoutRoomThereIsNoSet) {
  CpuDevice device;
  FaultyDevice faulty(&device, 1);
  const auto set = ParameterSet::Create(TinyModelConfig(ModelFamily::kLlama), faulty);
  EXPECT_EQ(set.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(TrainableModelTest, WrittenParametersAreTheModelsWeights) {
  CpuDevice device;
  const ModelConfig config = TinyModelConfig(ModelFamily::kQwen3);
  auto model = TrainableModel::Create(config, device);
  ASSERT_TRUE(model.ok());
  (*model)->parameters().tensors()[0].tensor.Row<float>(1)[2] = 7.5f;
  EXPECT_EQ((*model)->weights().embedding.Row<float>(1)[2], 7.5f);

  auto copy = TrainableModel::Create(config, device);
  ASSERT_TRUE(copy.ok());
  (*copy)->CopyWeights(**model);
  EXPECT_EQ((*copy)->weights().head.values.Row<float>(1)[2], 7.5f) << "tied";
}

}  // namespace
}  // namespace alchemist
