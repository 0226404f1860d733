#include "model/weight_loader.h"

#include <algorithm>
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

bool UsableInPlace(const SafetensorsTensor& tensor, DType dtype) {
  return tensor.dtype == dtype &&
         reinterpret_cast<uintptr_t>(tensor.data) % BytesPerElement(dtype) == 0;
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
                                                  const WeightFiles& files,
                                                  std::optional<DType> dtype,
                                                  ModelWeights& weights) {
  WeightLoader loader(config, weights);
  const std::vector<WeightRole> roles = WeightRoles(config, weights);
  RETURN_IF_ERROR(CheckAllKnown(roles, files, config));
  for (const WeightRole& role : roles) RETURN_IF_ERROR(loader.Add(role, files));
  const bool all_bf16 =
      std::all_of(loader.sources_.begin(), loader.sources_.end(),
                  [](const Source& source) { return source.tensor->dtype == DType::kBf16; });
  loader.dtype_ = dtype.value_or(all_bf16 ? DType::kBf16 : DType::kF32);
  loader.PlaceAll();
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
  sources_.push_back({std::move(role), found.tensor, kInPlace});
  return absl::OkStatus();
}

void WeightLoader::PlaceAll() {
  for (Source& source : sources_) {
    if (UsableInPlace(*source.tensor, dtype_)) continue;
    source.converted_offset = converted_bytes_;
    converted_bytes_ += RoundUp(source.tensor->elements * BytesPerElement(dtype_));
  }
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
    alchemist::Convert(tensor.dtype, tensor.data, tensor.elements, dtype_,
                       to + source.converted_offset);
  }
}

void WeightLoader::Bind(const std::byte* converted) const {
  for (const Source& source : sources_) {
    const std::byte* data = source.converted_offset == kInPlace
                                ? source.tensor->data
                                : converted + source.converted_offset;
    *source.role.view = {data, source.role.rows(), source.role.width(), dtype_};
  }
  if (config_.tied_head) weights_.head.values = weights_.embedding;
}

}  // namespace alchemist
