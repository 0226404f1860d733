#include "model/weight_loader.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/weight_conversion.h"

namespace alchemist {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kInPlace = -1;

int64_t RoundUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool UsableInPlace(const SafetensorsTensor& tensor) {
  return tensor.dtype == DType::kF32 &&
         reinterpret_cast<uintptr_t>(tensor.data) % alignof(float) == 0;
}

// A tied head is stored as the embedding, as the head, or as both; Hugging Face lets the embedding
// win. Old Llama files carry rope frequencies that follow from the config.
bool MayBeIgnored(const std::string& name, const ModelConfig& config) {
  if (absl::EndsWith(name, "rotary_emb.inv_freq")) return true;
  return config.tied_head && (name == kHeadName || name == kEmbeddingName);
}

absl::Status CheckAllKnown(const std::vector<WeightRole>& roles, const WeightFiles& files,
                           const ModelConfig& config) {
  std::set<std::string> known;
  for (const WeightRole& role : roles) known.insert(role.name);
  for (const SafetensorsFile& file : files.files()) {
    for (const SafetensorsTensor& tensor : file.tensors()) {
      if (known.count(tensor.name) > 0 || MayBeIgnored(tensor.name, config)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          file.path(), ": ", tensor.name, ": no tensor of a ", ArchitectureName(config.family)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WeightLoader> WeightLoader::Create(const ModelConfig& config,
                                                  const WeightFiles& files, ModelWeights& weights) {
  WeightLoader loader(config, weights);
  const std::vector<WeightRole> roles = WeightRoles(config, weights);
  RETURN_IF_ERROR(CheckAllKnown(roles, files, config));
  for (const WeightRole& role : roles) RETURN_IF_ERROR(loader.Add(role, files));
  return loader;
}

absl::Status WeightLoader::Add(WeightRole role, const WeightFiles& files) {
  WeightFiles::Found found = files.Find(role.name);
  if (found.tensor == nullptr && config_.tied_head && role.name == kEmbeddingName) {
    found = files.Find(kHeadName);
  }
  if (found.tensor == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.files().front().path(), ": ", role.name, ": missing",
                     files.files().size() > 1 ? " here and in the other shards" : ""));
  }
  if (found.tensor->shape != role.shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        found.file->path(), ": ", found.tensor->name, ": shape is ",
        ShapeString(found.tensor->shape), ", config.json makes it ", ShapeString(role.shape)));
  }
  int64_t offset = kInPlace;
  if (!UsableInPlace(*found.tensor)) {
    offset = converted_bytes_;
    converted_bytes_ += RoundUp(found.tensor->elements * BytesPerElement(DType::kF32));
  }
  sources_.push_back({std::move(role), found.tensor, offset});
  return absl::OkStatus();
}

bool WeightLoader::uses_files() const {
  for (const Source& source : sources_) {
    if (source.converted_offset == kInPlace) return true;
  }
  return false;
}

void WeightLoader::Convert(std::byte* to) const {
  for (const Source& source : sources_) {
    if (source.converted_offset == kInPlace) continue;
    const SafetensorsTensor& tensor = *source.tensor;
    ConvertToF32(tensor.dtype, tensor.data, tensor.elements,
                 reinterpret_cast<float*>(to + source.converted_offset));
  }
}

void WeightLoader::Bind(const std::byte* converted) const {
  for (const Source& source : sources_) {
    const std::byte* data = source.converted_offset == kInPlace
                                ? source.tensor->data
                                : converted + source.converted_offset;
    *source.role.view = {data, source.role.rows(), source.role.width(), DType::kF32};
  }
  if (config_.tied_head) weights_.head.values = weights_.embedding;
}

}  // namespace alchemist
