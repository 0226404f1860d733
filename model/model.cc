#include "model/model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/logging.h"
#include "model/base_digest.h"
#include "model/linear.h"
#include "model/weight_files.h"
#include "model/weight_loader.h"

namespace alchemist {
namespace {

// A model of a directory. Keeps the weight files mapped while a tensor is used in place.
class LoadedModel : public Model {
 public:
  // Reads config and the files' headers, and plans where every tensor will lie.
  absl::Status Open(const std::string& directory, std::optional<DType> dtype) {
    directory_ = directory;
    ASSIGN_OR_RETURN(config_, LoadModelConfig(directory));
    ASSIGN_OR_RETURN(WeightFiles files, WeightFiles::Open(directory));
    files_ = std::make_unique<const WeightFiles>(std::move(files));
    ASSIGN_OR_RETURN(WeightLoader loader, WeightLoader::Create(config_, *files_, dtype, weights_));
    dtype_ = loader.dtype();
    loader_ = std::make_unique<const WeightLoader>(std::move(loader));
    std::vector<std::string> digested = files_->names();
    digested.push_back("config.json");
    const DigestCache cache(DigestCache::DefaultDirectory(), Clock::Real());
    ASSIGN_OR_RETURN(base_digest_, BaseDigest(directory, std::move(digested), cache));
    return absl::OkStatus();
  }

  absl::Status Convert() {
    if (loader_->converted_bytes() == 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(SharedMemory memory,
                     SharedMemory::Create("alchemist-weights", loader_->converted_bytes()));
    loader_->Convert(memory.writable_data());
    converted_ = std::make_unique<const SharedMemory>(std::move(memory));
    return absl::OkStatus();
  }

  absl::Status MapConverted(std::optional<FileDescriptor> fd, int64_t bytes) {
    const int64_t expected = loader_->converted_bytes();
    if (!fd.has_value()) bytes = 0;
    if (bytes != expected) {
      return absl::FailedPreconditionError(
          absl::StrCat(directory_, ": ", bytes,
                       " bytes of converted weights were handed over; its files make ", expected));
    }
    if (expected == 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(SharedMemory memory, SharedMemory::MapReadOnly(*std::move(fd), bytes));
    converted_ = std::make_unique<const SharedMemory>(std::move(memory));
    return absl::OkStatus();
  }

  // Points the weights to their memory, which is in place now.
  void Finish() {
    loader_->Bind(converted_ == nullptr ? nullptr : converted_->data());
    const bool uses_files = loader_->uses_files();
    loader_.reset();
    if (!uses_files) files_.reset();
    rope_ = std::make_unique<const RopeTable>(config_.rope, config_.head_dim, config_.context);
  }

  const SharedMemory* converted() const override { return converted_.get(); }

 private:
  std::unique_ptr<const WeightFiles> files_;
  std::unique_ptr<const WeightLoader> loader_;  // Until Finish.
  std::unique_ptr<const SharedMemory> converted_;
};

}  // namespace

absl::StatusOr<std::optional<DType>> ParseModelDType(const std::string& name) {
  if (name == "auto") return std::optional<DType>();
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    if (name == DTypeName(dtype)) return std::optional<DType>(dtype);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--dtype: must be auto, f32 or bf16, not '", name, "'"));
}

absl::StatusOr<std::unique_ptr<const Model>> Model::Load(const std::string& directory,
                                                         std::optional<DType> dtype) {
  auto model = std::make_unique<LoadedModel>();
  RETURN_IF_ERROR(model->Open(directory, dtype));
  RETURN_IF_ERROR(model->Convert());
  model->Finish();
  return model;
}

absl::StatusOr<std::unique_ptr<const Model>> Model::LoadShared(
    const std::string& directory, const std::string& base_digest, DType dtype,
    std::optional<FileDescriptor> converted, int64_t converted_bytes) {
  auto model = std::make_unique<LoadedModel>();
  RETURN_IF_ERROR(model->Open(directory, dtype));
  if (model->base_digest() != base_digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": base digest is ", model->base_digest(), ", the server's is ", base_digest));
  }
  RETURN_IF_ERROR(model->MapConverted(std::move(converted), converted_bytes));
  model->Finish();
  return model;
}

std::vector<MatmulShape> Model::MatmulShapes() const {
  std::vector<MatmulShape> shapes;
  const auto add = [&](const MatmulShape& shape) {
    for (const MatmulShape& known : shapes) {
      if (known.in == shape.in && known.out == shape.out) return;
    }
    shapes.push_back(shape);
  };
  for (const Linear linear : kLinears) add(LinearShape(config_, linear));
  add({config_.hidden, config_.vocab});
  return shapes;
}

}  // namespace alchemist
