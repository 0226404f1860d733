#include "model/model_writer.h"

#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <deque>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/logging.h"
#include "model/safetensors_writer.h"
#include "model/weight_conversion.h"
#include "model/weight_files.h"
#include "model/weight_roles.h"

namespace alchemist {
namespace {

const char* TorchName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kBf16:
      return "bfloat16";
    case DType::kF16:
      return "float16";
  }
  LOG(FATAL) << "dtype " << static_cast<int>(dtype);
  return "";
}

nlohmann::json RopeScalingJson(const RopeConfig& rope) {
  switch (rope.scaling) {
    case RopeScaling::kNone:
      return nullptr;
    case RopeScaling::kLinear:
      return {{"rope_type", "linear"}, {"factor", rope.factor}};
    case RopeScaling::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", rope.factor},
              {"low_freq_factor", rope.low_freq_factor},
              {"high_freq_factor", rope.high_freq_factor},
              {"original_max_position_embeddings", rope.original_context}};
  }
  LOG(FATAL) << "rope scaling " << static_cast<int>(rope.scaling);
  return nullptr;
}

nlohmann::json EosJson(const std::vector<int32_t>& eos_ids) {
  if (eos_ids.empty()) return nullptr;
  if (eos_ids.size() == 1) return eos_ids[0];
  return eos_ids;
}

// The double that is written as shortly as `value` is: 1e-6 and not 9.999999974752427e-07.
double ShortDouble(float value) {
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + sizeof(text), value);
  double number = 0;
  std::from_chars(text, end.ptr, number);
  return number;
}

// The tensors to write, with a tied head under the names asked for.
std::vector<WeightRole> RolesToWrite(const ModelConfig& config, ModelWeights& weights,
                                     TiedHeadNames tied_head_names) {
  CHECK_EQ(static_cast<int64_t>(weights.layers.size()), config.layers);
  std::vector<WeightRole> roles = WeightRoles(config, weights);
  if (!config.tied_head || tied_head_names == TiedHeadNames::kEmbedding) return roles;
  WeightRole head = roles.front();
  CHECK_EQ(head.name, kEmbeddingName);
  head.name = kHeadName;
  if (tied_head_names == TiedHeadNames::kHead) roles.erase(roles.begin());
  roles.push_back(head);
  return roles;
}

// One file's tensors. Keeps what was converted until the file is written.
class ShardWriter {
 public:
  explicit ShardWriter(DType dtype) : dtype_(dtype) {}

  void Add(const WeightRole& role) {
    const ConstTensorView& view = *role.view;
    CHECK(view.data != nullptr && view.dtype == DType::kF32 && view.rows == role.rows() &&
          view.width == role.width())
        << role.name;
    const int64_t elements = view.rows * view.width;
    const void* data = view.data;
    if (dtype_ != DType::kF32) {
      std::vector<std::byte>& bytes = converted_.emplace_back(elements * BytesPerElement(dtype_));
      ConvertFromF32(dtype_, static_cast<const float*>(data), elements, bytes.data());
      data = bytes.data();
    }
    writer_.Add(role.name, role.shape, dtype_, data);
  }
  absl::Status WriteSynced(const std::string& path) const { return writer_.WriteSynced(path); }

 private:
  DType dtype_;
  SafetensorsWriter writer_;
  std::deque<std::vector<std::byte>> converted_;
};

absl::Status WriteShards(const std::vector<WeightRole>& roles, const ModelWriteOptions& options,
                         const std::string& directory) {
  const int64_t tensors = static_cast<int64_t>(roles.size());
  nlohmann::json weight_map = nlohmann::json::object();
  for (int64_t i = 0; i < options.shards; ++i) {
    std::string name = kWeightFileName;
    if (options.shards > 1) {
      name = absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, options.shards);
    }
    ShardWriter shard(options.dtype);
    for (int64_t t = tensors * i / options.shards; t < tensors * (i + 1) / options.shards; ++t) {
      shard.Add(roles[t]);
      weight_map[roles[t].name] = name;
    }
    RETURN_IF_ERROR(shard.WriteSynced(absl::StrCat(directory, "/", name)));
  }
  if (options.shards == 1) return absl::OkStatus();
  const nlohmann::json index = {{"metadata", nlohmann::json::object()}, {"weight_map", weight_map}};
  return WriteFileSynced(absl::StrCat(directory, "/", kWeightIndexName), index.dump(2) + "\n");
}

}  // namespace

std::string ModelConfigJson(const ModelConfig& config, DType dtype) {
  const nlohmann::json json = {
      {"architectures", {ArchitectureName(config.family)}},
      {"model_type", ModelTypeName(config.family)},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden},
      {"intermediate_size", config.ffn},
      {"num_hidden_layers", config.layers},
      {"num_attention_heads", config.heads},
      {"num_key_value_heads", config.kv_heads},
      {"head_dim", config.head_dim},
      {"vocab_size", config.vocab},
      {"max_position_embeddings", config.context},
      {"rms_norm_eps", ShortDouble(config.norm_epsilon)},
      {"rope_theta", config.rope.theta},
      {"rope_scaling", RopeScalingJson(config.rope)},
      {"sliding_window", nullptr},
      {"attention_bias", false},
      {"tie_word_embeddings", config.tied_head},
      {"eos_token_id", EosJson(config.eos_ids)},
      {"torch_dtype", TorchName(dtype)},
  };
  return json.dump(2) + "\n";
}

absl::Status WriteModel(const ModelConfig& config, const ModelWeights& weights,
                        const ModelWriteOptions& options, const std::string& directory) {
  ModelWeights places = weights;
  const std::vector<WeightRole> roles = RolesToWrite(config, places, options.tied_head_names);
  if (options.shards < 1 || options.shards > static_cast<int64_t>(roles.size())) {
    return absl::InvalidArgumentError(absl::StrCat(directory, ": ", options.shards,
                                                   " shards asked for ", roles.size(), " tensors"));
  }
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus("mkdir", directory);
  }
  RETURN_IF_ERROR(WriteFileSynced(absl::StrCat(directory, "/config.json"),
                                  ModelConfigJson(config, options.dtype)));
  RETURN_IF_ERROR(WriteShards(roles, options, directory));
  return SyncDirectory(directory);
}

}  // namespace alchemist
