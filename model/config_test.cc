#include "model/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

json LlamaConfig() {
  return json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 8, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "vocab_size": 100, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "rope_scaling": null,
    "tie_word_embeddings": true, "eos_token_id": 2, "attention_dropout": 0.0, "use_cache": true
  })");
}

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() : directory_(testing::TempDir() + "/config_test") {
    mkdir(directory_.c_str(), 0700);
    unlink((directory_ + "/generation_config.json").c_str());
  }

  absl::StatusOr<ModelConfig> LoadText(const std::string& text) {
    EXPECT_TRUE(WriteFileSynced(directory_ + "/config.json", text).ok());
    return LoadModelConfig(directory_);
  }
  // Loads LlamaConfig() with the fields of `changes` put over it; null removes a field.
  absl::StatusOr<ModelConfig> Load(const std::string& changes) {
    json config = LlamaConfig();
    config.merge_patch(json::parse(changes));
    return LoadText(config.dump());
  }
  void WriteGenerationConfig(const std::string& text) {
    ASSERT_TRUE(WriteFileSynced(directory_ + "/generation_config.json", text).ok());
  }

  const std::string directory_;
};

TEST_F(ConfigTest, LlamaFieldsAreRead) {
  const auto config = Load("{}");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->family, ModelFamily::kLlama);
  EXPECT_EQ(config->layers, 3);
  EXPECT_EQ(config->hidden, 64);
  EXPECT_EQ(config->ffn, 96);
  EXPECT_EQ(config->heads, 8);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->head_dim, 8);
  EXPECT_EQ(config->vocab, 100);
  EXPECT_EQ(config->context, 256);
  EXPECT_EQ(config->norm_epsilon, 1e-5f);
  EXPECT_EQ(config->rope.theta, 500000.0);
  EXPECT_EQ(config->rope.scaling, RopeScaling::kNone);
  EXPECT_FALSE(config->qkv_bias);
  EXPECT_FALSE(config->qk_norm);
  EXPECT_TRUE(config->tied_head);
  EXPECT_THAT(config->eos_ids, ElementsAre(2));
}

TEST_F(ConfigTest, FamiliesDifferInBiasAndNorm) {
  const auto mistral = Load(R"({"architectures": ["MistralForCausalLM"], "head_dim": 16})");
  ASSERT_TRUE(mistral.ok()) << mistral.status();
  EXPECT_EQ(mistral->family, ModelFamily::kMistral);
  EXPECT_EQ(mistral->q_width(), 128);
  EXPECT_EQ(mistral->kv_width(), 32);
  const auto qwen2 = Load(R"({"architectures": ["Qwen2ForCausalLM"], "attention_bias": true})");
  ASSERT_TRUE(qwen2.ok()) << qwen2.status();
  EXPECT_TRUE(qwen2->qkv_bias);
  const auto qwen3 = Load(R"({"architectures": ["Qwen3ForCausalLM"], "attention_bias": false})");
  ASSERT_TRUE(qwen3.ok()) << qwen3.status();
  EXPECT_TRUE(qwen3->qk_norm);
  EXPECT_FALSE(qwen3->qkv_bias);
  EXPECT_EQ(qwen3->head_dim, 128) << "Hugging Face's default for this family";
}

TEST_F(ConfigTest, BothRopeSpellingsAreRead) {
  const std::string llama3 = R"("factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                "original_max_position_embeddings": 64})";
  const std::string spellings[] = {
      R"({"rope_scaling": {"rope_type": "llama3", )" + llama3 + "}",
      R"({"rope_scaling": {"type": "llama3", )" + llama3 + "}",
      R"({"rope_theta": null, "rope_parameters": {"rope_theta": 500000.0,
          "rope_type": "llama3", )" +
          llama3 + "}"};
  for (const std::string& changes : spellings) {
    const auto config = Load(changes);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->rope.theta, 500000.0);
    EXPECT_EQ(config->rope.scaling, RopeScaling::kLlama3);
    EXPECT_EQ(config->rope.factor, 8.0);
    EXPECT_EQ(config->rope.low_freq_factor, 1.0);
    EXPECT_EQ(config->rope.high_freq_factor, 4.0);
    EXPECT_EQ(config->rope.original_context, 64);
  }
  const auto linear = Load(R"({"rope_scaling": {"type": "linear", "factor": 2}})");
  ASSERT_TRUE(linear.ok()) << linear.status();
  EXPECT_EQ(linear->rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(linear->rope.factor, 2.0);
  const auto plain = Load(R"({"rope_theta": null, "rope_parameters": {"rope_type": "default"}})");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->rope.theta, 10000.0);
}

TEST_F(ConfigTest, EosIdsComeAsNumberListOrNull) {
  EXPECT_THAT(Load(R"({"eos_token_id": [7, 9]})")->eos_ids, ElementsAre(7, 9));
  EXPECT_THAT(Load(R"({"eos_token_id": null})")->eos_ids, IsEmpty());
  WriteGenerationConfig(R"({"eos_token_id": [1, 3]})");
  EXPECT_THAT(Load("{}")->eos_ids, ElementsAre(1, 3));
  WriteGenerationConfig(R"({"eos_token_id": null})");
  EXPECT_THAT(Load("{}")->eos_ids, ElementsAre(2));
  WriteGenerationConfig("[]");
  EXPECT_THAT(Load("{}").status().message(),
              HasSubstr("generation_config.json: must be an object"));
}

TEST_F(ConfigTest, SlidingWindowsThatHideNothingAreIgnored) {
  for (const char* changes : {R"({"architectures": ["MistralForCausalLM"], "sliding_window": 256})",
                              R"({"architectures": ["MistralForCausalLM"]})",
                              R"({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 32,
            "use_sliding_window": false})",
                              R"({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 32,
            "use_sliding_window": true, "max_window_layers": 3})",
                              R"({"architectures": ["Qwen3ForCausalLM"], "sliding_window": 32,
            "layer_types": ["full_attention", "full_attention", "full_attention"]})"}) {
    EXPECT_TRUE(Load(changes).ok()) << changes << Load(changes).status();
  }
  json config = LlamaConfig();
  config.merge_patch(R"({"architectures": ["MistralForCausalLM"],
                         "max_position_embeddings": 32768})"_json);
  EXPECT_THAT(LoadText(config.dump()).status().message(), HasSubstr("sliding_window (4096)"))
      << "Mistral's default when the field is not written";
  config["sliding_window"] = nullptr;
  EXPECT_TRUE(LoadText(config.dump()).ok());
}

TEST_F(ConfigTest, UnsupportedFieldsAreNamed) {
  const struct {
    const char* changes;
    const char* named;
  } kCases[] = {
      {R"({"head_dim": 20})", "head_dim (20) is no multiple of 8"},
      {R"({"architectures": ["GPT2LMHeadModel"]})", "architectures[0] is \"GPT2LMHeadModel\""},
      {R"({"hidden_act": "gelu"})", "hidden_act"},
      {R"({"attention_bias": true})", "attention_bias"},
      {R"({"mlp_bias": true})", "mlp_bias"},
      {R"({"sliding_window": 255})", "sliding_window (255)"},
      {R"({"architectures": ["MistralForCausalLM"], "sliding_window": 32})", "sliding_window (32)"},
      {R"({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 32,
           "use_sliding_window": true, "max_window_layers": 2})",
       "sliding_window (32)"},
      {R"({"layer_types": ["full_attention", "sliding_attention"]})", "layer_types[1]"},
      {R"({"rope_scaling": {"type": "dynamic", "factor": 2.0}})", "rope_scaling"},
      {R"({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}})", "\"yarn\""},
      {R"({"rope_scaling": {"type": "longrope"}})", "\"longrope\""},
      {R"({"rope_parameters": {"rope_type": "yarn"}})", "rope_parameters"},
      {R"({"rope_parameters": {"partial_rotary_factor": 0.5}})", "partial_rotary_factor"},
      {R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
      {R"({"logits_scaling": 8.0})", "logits_scaling"},
      {R"({"attention_multiplier": 0.1})", "attention_multiplier"},
      {R"({"final_logit_softcapping": 30.0})", "final_logit_softcapping"},
      {R"({"quantization_config": {"bits": 4}})", "quantization_config"},
      {R"({"num_experts": 8})", "num_experts"},
      {R"({"hidden_size": 66, "num_attention_heads": 22, "num_key_value_heads": 22})",
       "head_dim (3)"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = Load(c.changes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << c.changes << status;
    EXPECT_THAT(status.message(), HasSubstr("/config.json: ")) << c.changes;
    EXPECT_THAT(status.message(), HasSubstr(c.named)) << c.changes;
  }
  EXPECT_TRUE(Load(R"({"partial_rotary_factor": 1.0, "mlp_bias": false, "num_experts": 0,
                       "logits_scaling": 1, "some_new_field": {"x": [1]}})")
                  .ok());
}

TEST_F(ConfigTest, MalformedFieldsAreNamed) {
  const struct {
    const char* changes;
    const char* named;
  } kCases[] = {
      {R"({"hidden_size": null})", "hidden_size is missing"},
      {R"({"hidden_size": "64"})", "hidden_size must be an integer"},
      {R"({"hidden_size": 0})", "hidden_size"},
      {R"({"hidden_size": -64})", "hidden_size"},
      {R"({"hidden_size": 64.0})", "hidden_size"},
      {R"({"hidden_size": 18446744073709551615})", "hidden_size"},
      {R"({"num_hidden_layers": 1000000})", "num_hidden_layers"},
      {R"({"intermediate_size": 4611686018427387904})", "intermediate_size"},
      {R"({"vocab_size": 4294967296})", "vocab_size"},
      {R"({"max_position_embeddings": 0})", "max_position_embeddings"},
      {R"({"num_attention_heads": 7})", "no multiple"},
      {R"({"num_key_value_heads": 3})", "num_key_value_heads (3)"},
      {R"({"num_key_value_heads": 16})", "num_key_value_heads (16)"},
      {R"({"head_dim": 0})", "head_dim must be"},
      {R"({"head_dim": 100000})", "head_dim"},
      {R"({"hidden_size": 65536})", "head_dim (8192)"},
      {R"({"architectures": null})", "architectures is missing"},
      {R"({"architectures": []})", "architectures must name one"},
      {R"({"architectures": [1]})", "architectures[0]"},
      {R"({"rms_norm_eps": 0})", "rms_norm_eps"},
      {R"({"rms_norm_eps": "small"})", "rms_norm_eps"},
      {R"({"rope_theta": 0})", "rope_theta"},
      {R"({"rope_theta": -1})", "rope_theta"},
      {R"({"rope_scaling": 3})", "rope_scaling must be an object"},
      {R"({"rope_scaling": {"type": "linear"}})", "rope_scaling.factor is missing"},
      {R"({"rope_scaling": {"type": "linear", "factor": 0.5}})", "rope_scaling.factor"},
      {R"({"rope_scaling": {"type": "linear", "rope_type": "llama3"}})", "rope_scaling has"},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
           "high_freq_factor": 4}})",
       "high_freq_factor"},
      {R"({"rope_scaling": {"rope_type": "default"}, "rope_parameters": {}})", "both"},
      {R"({"tie_word_embeddings": 1})", "tie_word_embeddings"},
      {R"({"eos_token_id": 100})", "eos_token_id"},
      {R"({"eos_token_id": -1})", "eos_token_id"},
      {R"({"eos_token_id": [1, "2"]})", "eos_token_id[1]"},
      {R"({"sliding_window": 0})", "sliding_window"},
      {R"({"layer_types": "full_attention"})", "layer_types"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = Load(c.changes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.changes << status;
    EXPECT_THAT(status.message(), HasSubstr("/config.json: ")) << c.changes;
    EXPECT_THAT(status.message(), HasSubstr(c.named)) << c.changes;
  }
}

TEST_F(ConfigTest, EveryTruncationIsAnError) {
  const std::string text = LlamaConfig().dump();
  for (size_t bytes = 0; bytes < text.size(); bytes += 3) {
    EXPECT_FALSE(LoadText(text.substr(0, bytes)).ok()) << bytes;
  }
  EXPECT_FALSE(LoadText("[]").ok());
  EXPECT_EQ(LoadModelConfig(directory_ + "/absent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ConfigTest, FamilyNamesGoBothWays) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    EXPECT_STREQ(ModelTypeName(*ModelFamilyOfType(type)), type);
  }
  EXPECT_STREQ(ArchitectureName(ModelFamily::kQwen3), "Qwen3ForCausalLM");
  EXPECT_FALSE(ModelFamilyOfType("gpt2").has_value());
}

TEST(RealModelTest, TinyStoriesConfigIsRead) {
  const char* data = std::getenv("ALCHEMIST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ALCHEMIST_DATA is not set";
  const auto config = LoadModelConfig(absl::StrCat(data, "/models/tinystories-656K"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->vocab, 2048);
  EXPECT_THAT(config->eos_ids, ElementsAre(2));
}

}  // namespace
}  // namespace alchemist
