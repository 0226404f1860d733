// LoraAdapter as a PEFT directory.
#include <sys/stat.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "model/lora_adapter.h"
#include "model/lora_tensors.h"
#include "model/peft_config.h"
#include "model/safetensors.h"
#include "model/weight_conversion.h"

namespace alchemist {
namespace {

constexpr int64_t kConfigBytesMax = 1 << 20;
constexpr char kConfigName[] = "adapter_config.json";
constexpr char kWeightsName[] = "adapter_model.safetensors";

absl::Status TensorError(const SafetensorsFile& file, absl::string_view tensor,
                         absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": ", tensor, ": ", message));
}

// That the file holds exactly the tensors of a [rank, in] A and an [out, rank] B for each target.
absl::Status CheckTensors(const SafetensorsFile& file, const LoraConfig& config,
                          const ModelConfig& model) {
  std::set<std::string> known;
  for (int64_t layer = config.lowest_layer; layer < model.layers; ++layer) {
    for (const Linear linear : config.targets) {
      const MatmulShape shape = LinearShape(model, linear);
      const std::pair<std::string, std::vector<int64_t>> expected[] = {
          {LoraTensorName(layer, linear, 'A'), {config.rank, shape.in}},
          {LoraTensorName(layer, linear, 'B'), {shape.out, config.rank}}};
      for (const auto& [name, expected_shape] : expected) {
        const SafetensorsTensor* tensor = file.Find(name);
        if (tensor == nullptr) return TensorError(file, name, "missing");
        if (tensor->shape != expected_shape) {
          return TensorError(
              file, name,
              absl::StrCat("shape is ", ShapeString(tensor->shape), ", config and model make it ",
                           ShapeString(expected_shape)));
        }
        known.insert(name);
      }
    }
  }
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (known.count(tensor.name) == 0) {
      return TensorError(file, tensor.name, "belongs to none of target_modules");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadTensor(const SafetensorsFile& file, const std::string& name, TensorView to) {
  const SafetensorsTensor& tensor = *file.Find(name);
  float* values = static_cast<float*>(to.data);
  ConvertToF32(tensor.dtype, tensor.data, tensor.elements, values);
  for (int64_t i = 0; i < tensor.elements; ++i) {
    if (!std::isfinite(values[i])) {
      return TensorError(file, name, absl::StrCat("value ", i, " is not finite"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoraAdapter>> LoraAdapter::Load(const std::string& directory,
                                                               const ModelConfig& model) {
  const std::string config_path = absl::StrCat(directory, "/", kConfigName);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(config_path, kConfigBytesMax));
  ASSIGN_OR_RETURN(const LoraConfig config, ParsePeftConfig(text, config_path, model));
  ASSIGN_OR_RETURN(const SafetensorsFile file,
                   SafetensorsFile::Open(absl::StrCat(directory, "/", kWeightsName)));
  // Before memory is taken: what the config asks for is then no more than the file holds.
  RETURN_IF_ERROR(CheckTensors(file, config, model));
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter(model, config));
  for (int64_t layer = config.lowest_layer; layer < model.layers; ++layer) {
    for (const Linear linear : config.targets) {
      RETURN_IF_ERROR(
          ReadTensor(file, LoraTensorName(layer, linear, 'A'), adapter->MutableA(layer, linear)));
      RETURN_IF_ERROR(
          ReadTensor(file, LoraTensorName(layer, linear, 'B'), adapter->MutableB(layer, linear)));
    }
  }
  adapter->UpdateDigest();
  return adapter;
}

absl::Status LoraAdapter::Save(const std::string& directory,
                               const std::string& base_model_name) const {
  if (mkdir(directory.c_str(), 0700) != 0) {
    if (errno == EEXIST) return absl::AlreadyExistsError(directory + ": already exists");
    return ErrnoStatus("mkdir", directory);
  }
  const auto write = [&]() -> absl::Status {
    RETURN_IF_ERROR(LoraWriter(*this).WriteSynced(absl::StrCat(directory, "/", kWeightsName)));
    RETURN_IF_ERROR(WriteFileSynced(absl::StrCat(directory, "/", kConfigName),
                                    PeftConfigJson(config_, layers(), base_model_name)));
    RETURN_IF_ERROR(SyncDirectory(directory));
    return SyncDirectory(absl::StrCat(directory, "/.."));
  };
  const absl::Status written = write();
  if (!written.ok()) {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  return written;
}

}  // namespace alchemist
