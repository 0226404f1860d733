#include "model/lora_adapter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/random_model.h"
#include "model/safetensors_writer.h"
#include "model/weight_conversion.h"

namespace alchemist {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kQA[] = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";

std::string TempDirectory(const std::string& name) {
  const std::string directory = absl::StrCat(testing::TempDir(), "/lora_adapter_test_", name);
  std::filesystem::remove_all(directory);
  return directory;
}

LoraConfig Config() {
  LoraConfig config;
  config.rank = 4;
  config.alpha = 8;
  config.targets = {Linear::kQ, Linear::kV, Linear::kDown};
  config.lowest_layer = 1;
  return config;
}

const ModelConfig& Model() {
  static const ModelConfig config = TinyModelConfig(ModelFamily::kLlama);
  return config;
}

// An adapter whose every value differs from 0.
std::unique_ptr<LoraAdapter> SomeAdapter(const LoraConfig& config = Config()) {
  auto adapter = *LoraAdapter::Create(Model(), config, 7);
  float value = 0.125f;
  for (int64_t layer = config.lowest_layer; layer < Model().layers; ++layer) {
    for (const Linear linear : config.targets) {
      const TensorView b = adapter->MutableB(layer, linear);
      for (int64_t i = 0; i < b.rows * b.width; ++i) b.Row<float>(0)[i] = value += 0.25f;
    }
  }
  adapter->UpdateDigest();
  return adapter;
}

std::vector<float> Values(ConstTensorView view) {
  if (view.data == nullptr) return {};
  const float* data = static_cast<const float*>(view.data);
  return std::vector<float>(data, data + view.rows * view.width);
}

void ExpectEqual(const LoraAdapter& a, const LoraAdapter& b) {
  EXPECT_EQ(a.digest(), b.digest());
  EXPECT_EQ(a.config().targets, b.config().targets);
  ASSERT_EQ(a.layers(), b.layers());
  for (int64_t layer = 0; layer < a.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      EXPECT_EQ(Values(a.View(layer, linear).a), Values(b.View(layer, linear).a));
      EXPECT_EQ(Values(a.View(layer, linear).b), Values(b.View(layer, linear).b));
      EXPECT_EQ(a.View(layer, linear).scale, b.View(layer, linear).scale);
    }
  }
}

TEST(LoraAdapterTest, ANewAdapterIsTheBaseModel) {
  const auto adapter = LoraAdapter::Create(Model(), Config(), 1);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  EXPECT_EQ((*adapter)->View(0, Linear::kQ).a.data, nullptr) << "below the lowest layer";
  EXPECT_EQ((*adapter)->View(1, Linear::kK).a.data, nullptr) << "no target";
  const LoraView down = (*adapter)->View(2, Linear::kDown);
  EXPECT_EQ(down.a.rows, 4);
  EXPECT_EQ(down.a.width, Model().ffn);
  EXPECT_EQ(down.b.rows, Model().hidden);
  EXPECT_EQ(down.b.width, 4);
  EXPECT_EQ(down.scale, 2.0f);
  for (const float value : Values(down.b)) EXPECT_EQ(value, 0.0f);
  double squares = 0;
  for (const float value : Values(down.a)) squares += value * value;
  // 224 samples of deviation 1/4: the deviation's own standard error is 5%.
  EXPECT_NEAR(std::sqrt(squares / (4 * Model().ffn)), 0.25, 4 * 0.25 * 0.05);
}

TEST(LoraAdapterTest, TheSeedMakesTheAdapter) {
  const auto digest = [](uint64_t seed) {
    return (*LoraAdapter::Create(Model(), Config(), seed))->digest();
  };
  EXPECT_EQ(digest(1), digest(1));
  EXPECT_NE(digest(1), digest(2));
}

TEST(LoraAdapterTest, RsloraScalesByTheRoot) {
  LoraConfig config = Config();
  config.rslora = true;
  EXPECT_EQ(SomeAdapter(config)->View(1, Linear::kQ).scale, 4.0f);
}

TEST(LoraAdapterTest, WhatIsSavedIsLoaded) {
  const auto adapter = SomeAdapter();
  const std::string directory = TempDirectory("round_trip");
  ASSERT_TRUE(adapter->Save(directory, "some/base").ok());
  EXPECT_EQ(*Sha256OfFile(directory + "/adapter_model.safetensors"), adapter->digest());
  const auto loaded = LoraAdapter::Load(directory, Model());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ExpectEqual(**loaded, *adapter);
  EXPECT_EQ(adapter->Save(directory, "some/base").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(adapter->Save(directory + "/no/such", "").code(), absl::StatusCode::kNotFound);
}

TEST(LoraAdapterTest, PeftFindsItsOwnNamesAndFields) {
  const std::string directory = TempDirectory("peft");
  ASSERT_TRUE(SomeAdapter()->Save(directory, "some/base").ok());
  const json config = json::parse(*ReadFile(directory + "/adapter_config.json", 1 << 20));
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["base_model_name_or_path"], "some/base");
  EXPECT_EQ(config["r"], 4);
  EXPECT_TRUE(config["lora_alpha"].is_number_integer());
  EXPECT_EQ(config["target_modules"], json({"q_proj", "v_proj", "down_proj"}));
  EXPECT_EQ(config["layers_to_transform"], json({1, 2}));
  const auto file = SafetensorsFile::Open(directory + "/adapter_model.safetensors");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->tensors().size(), 12u);
  ASSERT_NE(file->Find(kQA), nullptr);
  EXPECT_EQ(ShapeString(file->Find(kQA)->shape), "[4, 40]");
  EXPECT_NE(file->Find("base_model.model.model.layers.2.mlp.down_proj.lora_B.weight"), nullptr);
}

TEST(LoraAdapterTest, TheDigestCoversTensorsAndScale) {
  const auto adapter = SomeAdapter();
  const auto clone = adapter->Clone();
  ExpectEqual(*clone, *adapter);
  clone->MutableA(2, Linear::kV).Row<float>(3)[39] += 1.0f;
  EXPECT_NE(Values(clone->View(2, Linear::kV).a), Values(adapter->View(2, Linear::kV).a));
  clone->UpdateDigest();
  EXPECT_NE(clone->digest(), adapter->digest());
  LoraConfig other = Config();
  other.alpha = std::nextafter(other.alpha, 100);
  EXPECT_NE(SomeAdapter(other)->digest(), adapter->digest());
  other = Config();
  other.rslora = true;
  EXPECT_NE(SomeAdapter(other)->digest(), adapter->digest());
}

TEST(LoraAdapterTest, BadConfigsAreRefused) {
  const auto code = [](auto change) {
    LoraConfig config = Config();
    change(config);
    return LoraAdapter::Create(Model(), config, 1).status().code();
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code([](LoraConfig& c) { c.rank = 0; }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.rank = kLoraRankMax + 1; }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.alpha = 0; }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.alpha = std::nan(""); }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.targets.clear(); }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.targets = {Linear::kV, Linear::kQ}; }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.targets = {Linear::kQ, Linear::kQ}; }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.lowest_layer = -1; }), kInvalid);
  EXPECT_EQ(code([](LoraConfig& c) { c.lowest_layer = 3; }), kInvalid);
}

// A saved adapter whose files a test can change.
class LoraFilesTest : public testing::Test {
 protected:
  LoraFilesTest() : directory_(TempDirectory("files")) {
    EXPECT_TRUE(SomeAdapter()->Save(directory_, "base").ok());
    config_ = json::parse(*ReadFile(config_path(), 1 << 20));
  }
  std::string config_path() const { return directory_ + "/adapter_config.json"; }
  std::string weights_path() const { return directory_ + "/adapter_model.safetensors"; }

  absl::StatusOr<std::unique_ptr<LoraAdapter>> LoadWith(const std::string& changes) {
    json config = config_;
    const json fields = json::parse(changes);
    for (const auto& [key, value] : fields.items()) config[key] = value;
    EXPECT_TRUE(WriteFileSynced(config_path(), config.dump()).ok());
    return LoraAdapter::Load(directory_, Model());
  }

  // Rewrites the weights after `change` and loads.
  template <typename Change>
  absl::StatusOr<std::unique_ptr<LoraAdapter>> Rewrite(Change change) {
    const auto file = SafetensorsFile::Open(weights_path());
    EXPECT_TRUE(file.ok()) << file.status();
    std::vector<SafetensorsTensor> tensors = file->tensors();
    change(tensors);
    SafetensorsWriter writer;
    for (const SafetensorsTensor& t : tensors) writer.Add(t.name, t.shape, t.dtype, t.data);
    EXPECT_TRUE(writer.WriteSynced(weights_path() + ".new").ok());
    EXPECT_EQ(rename((weights_path() + ".new").c_str(), weights_path().c_str()), 0);
    return LoraAdapter::Load(directory_, Model());
  }

  const std::string directory_;
  json config_;
};

TEST_F(LoraFilesTest, EverySpellingOfTargetsAndLayersIsRead) {
  EXPECT_TRUE(LoadWith(R"({"target_modules": ["v_proj", "down_proj", "q_proj", "v_proj"]})").ok());
  EXPECT_TRUE(LoadWith(R"({"layers_to_transform": [2, 1], "layers_pattern": "layers"})").ok());
  EXPECT_TRUE(LoadWith(R"({"layers_pattern": ["layers"], "init_lora_weights": "gaussian"})").ok());
  EXPECT_TRUE(LoadWith(R"({"lora_alpha": 8.0, "task_type": null, "lora_dropout": 0.5})").ok());

  LoraConfig config = Config();
  config.targets.assign(kLinears.begin(), kLinears.end());
  config.lowest_layer = 0;
  const std::string all = TempDirectory("all");
  ASSERT_TRUE(SomeAdapter(config)->Save(all, "").ok());
  json written = json::parse(*ReadFile(all + "/adapter_config.json", 1 << 20));
  EXPECT_TRUE(written["layers_to_transform"].is_null());
  written["target_modules"] = "all-linear";
  ASSERT_TRUE(WriteFileSynced(all + "/adapter_config.json", written.dump()).ok());
  EXPECT_TRUE(LoraAdapter::Load(all, Model()).ok());

  config.targets = {Linear::kUp};
  config.lowest_layer = 2;
  const std::string one = TempDirectory("one");
  ASSERT_TRUE(SomeAdapter(config)->Save(one, "").ok());
  written = json::parse(*ReadFile(one + "/adapter_config.json", 1 << 20));
  written["target_modules"] = "up_proj";
  written["layers_to_transform"] = 2;
  ASSERT_TRUE(WriteFileSynced(one + "/adapter_config.json", written.dump()).ok());
  const auto loaded = LoraAdapter::Load(one, Model());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT((*loaded)->config().targets, ElementsAre(Linear::kUp));
  EXPECT_EQ((*loaded)->config().lowest_layer, 2);
}

TEST_F(LoraFilesTest, NarrowTensorsAreRead) {
  std::vector<float> expected(4 * 40);
  std::vector<std::byte> narrow(expected.size() * 2);
  const auto loaded = Rewrite([&](std::vector<SafetensorsTensor>& tensors) {
    for (SafetensorsTensor& t : tensors) {
      if (t.name != kQA) continue;
      ConvertFromF32(DType::kBf16, reinterpret_cast<const float*>(t.data), t.elements,
                     narrow.data());
      ConvertToF32(DType::kBf16, narrow.data(), t.elements, expected.data());
      t.dtype = DType::kBf16;
      t.data = narrow.data();
    }
  });
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(Values((*loaded)->View(1, Linear::kQ).a), expected);
  EXPECT_EQ(Values((*loaded)->View(2, Linear::kQ).a), Values(SomeAdapter()->View(2, Linear::kQ).a));
}

TEST_F(LoraFilesTest, WhatWeDoNotDoIsNamed) {
  const struct {
    const char* changes;
    const char* named;
  } kCases[] = {
      {R"({"peft_type": "LOHA"})", "peft_type"},
      {R"({"peft_type": null})", "peft_type"},
      {R"({"task_type": "SEQ_CLS"})", "task_type"},
      {R"({"bias": "all"})", "bias"},
      {R"({"fan_in_fan_out": true})", "fan_in_fan_out"},
      {R"({"use_dora": true})", "use_dora"},
      {R"({"modules_to_save": ["lm_head"]})", "modules_to_save"},
      {R"({"rank_pattern": {"q_proj": 2}})", "rank_pattern"},
      {R"({"alpha_pattern": {"q_proj": 2}})", "alpha_pattern"},
      {R"({"init_lora_weights": "pissa"})", "init_lora_weights"},
      {R"({"layers_pattern": "h"})", "layers_pattern"},
      {R"({"target_modules": ["q_proj", "lm_head"]})", "target_modules[1] is \"lm_head\""},
      {R"({"target_modules": "embed_tokens"})", "target_modules"},
      {R"({"target_modules": ".*q_proj"})", "target_modules"},
      {R"({"layers_to_transform": [0, 2]})", "layers_to_transform"},
      {R"({"layers_to_transform": [0, 1]})", "layers_to_transform"},
      {R"({"layers_to_transform": 1})", "layers_to_transform"},
      {R"({"layers_to_transform": []})", "layers_to_transform"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = LoadWith(c.changes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << c.changes << status;
    EXPECT_THAT(status.message(), HasSubstr("adapter_config.json: ")) << c.changes;
    EXPECT_THAT(status.message(), HasSubstr(c.named)) << c.changes;
  }
}

TEST_F(LoraFilesTest, MalformedConfigsAreNamed) {
  const struct {
    const char* changes;
    const char* named;
  } kCases[] = {
      {R"({"r": 0})", "r must be"},
      {R"({"r": -4})", "r must be"},
      {R"({"r": 9223372036854775807})", "r must be"},
      {R"({"r": "4"})", "r must be"},
      {R"({"r": null})", "r must be"},
      {R"({"lora_alpha": 0})", "lora_alpha"},
      {R"({"lora_alpha": 1e300})", "lora_alpha"},
      {R"({"lora_alpha": "8"})", "lora_alpha"},
      {R"({"use_rslora": 1})", "use_rslora"},
      {R"({"target_modules": []})", "target_modules"},
      {R"({"target_modules": [7]})", "target_modules[0]"},
      {R"({"target_modules": {}})", "target_modules"},
      {R"({"layers_to_transform": [3]})", "layers_to_transform[0]"},
      {R"({"layers_to_transform": [-1]})", "layers_to_transform[0]"},
      {R"({"layers_to_transform": "all"})", "layers_to_transform"},
      // Fields that are right, but not for these weights.
      {R"({"r": 8})", "lora_A.weight: shape is [4, 40]"},
      {R"({"target_modules": ["q_proj", "v_proj"]})", "belongs to none of target_modules"},
      {R"({"target_modules": ["q_proj", "v_proj", "down_proj", "o_proj"]})", "o_proj"},
      {R"({"layers_to_transform": null})", "layers.0.self_attn.q_proj.lora_A.weight: missing"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = LoadWith(c.changes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.changes << status;
    EXPECT_THAT(status.message(), HasSubstr(directory_)) << c.changes;
    EXPECT_THAT(status.message(), HasSubstr(c.named)) << c.changes;
  }
  const std::string text = config_.dump();
  for (size_t bytes = 0; bytes < text.size(); bytes += 7) {
    ASSERT_TRUE(WriteFileSynced(config_path(), text.substr(0, bytes)).ok());
    EXPECT_FALSE(LoraAdapter::Load(directory_, Model()).ok()) << bytes;
  }
}

TEST_F(LoraFilesTest, BrokenWeightsAreNamed) {
  using Tensors = std::vector<SafetensorsTensor>;
  std::vector<float> values(4 * 40, 1.0f);
  const auto message = [&](auto change) {
    const auto loaded = Rewrite(change);
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(SomeAdapter()->Save(directory_ + "/good", "").ok());
    std::filesystem::rename(directory_ + "/good/adapter_model.safetensors", weights_path());
    std::filesystem::remove_all(directory_ + "/good");
    return std::string(loaded.status().message());
  };
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    values[5] = bad;
    EXPECT_THAT(message([&](Tensors& tensors) {
                  for (SafetensorsTensor& t : tensors) {
                    if (t.name == kQA) t.data = reinterpret_cast<const std::byte*>(values.data());
                  }
                }),
                HasSubstr(absl::StrCat(kQA, ": value 5 is not finite")));
  }
  EXPECT_THAT(message([](Tensors& tensors) { tensors.pop_back(); }), HasSubstr("missing"));
  EXPECT_THAT(message([](Tensors& tensors) {
                for (SafetensorsTensor& t : tensors) std::reverse(t.shape.begin(), t.shape.end());
              }),
              HasSubstr("shape is"));
  EXPECT_THAT(message([&](Tensors& tensors) {
                tensors.push_back({"base_model.model.lm_head.lora_A.weight",
                                   DType::kF32,
                                   {1},
                                   1,
                                   reinterpret_cast<const std::byte*>(values.data())});
              }),
              HasSubstr("lm_head.lora_A.weight: belongs to none"));
  const std::string file = *ReadFile(weights_path(), 1 << 20);
  for (const size_t bytes : {size_t{0}, size_t{7}, size_t{100}, file.size() - 1}) {
    ASSERT_TRUE(WriteFileSynced(weights_path(), file.substr(0, bytes)).ok());
    EXPECT_THAT(LoraAdapter::Load(directory_, Model()).status().message(),
                HasSubstr("adapter_model.safetensors"));
  }
}

TEST_F(LoraFilesTest, AnAdapterOfAnotherModelIsRefused) {
  ModelConfig wider = Model();
  wider.ffn += 8;
  EXPECT_THAT(LoraAdapter::Load(directory_, wider).status().message(), HasSubstr("down_proj"));
  ModelConfig deeper = Model();
  deeper.layers += 1;
  EXPECT_FALSE(LoraAdapter::Load(directory_, deeper).ok());
}

}  // namespace
}  // namespace alchemist
