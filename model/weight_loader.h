// Brings the tensors of weight files to their places in ModelWeights, all in one type: tensors that
// are stored in it where they lie in the mapped files, the others converted into one piece of
// memory whose layout depends on config, files and type alone, so that two processes agree on it.
// Used while a model is loaded.
#ifndef ALCHEMIST_MODEL_WEIGHT_LOADER_H_
#define ALCHEMIST_MODEL_WEIGHT_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/config.h"
#include "model/safetensors.h"
#include "model/weight_files.h"
#include "model/weight_roles.h"
#include "model/weights.h"

namespace alchemist {

class WeightLoader {
 public:
  // Finds every tensor of `config` in `files` and checks its shape; values are not looked at.
  // InvalidArgument naming file and tensor when one is missing, has another shape, or is not known
  // to the model: a bias that is silently left out would be another model. `files` and `weights`
  // must outlive the loader and stay where they are. Without `dtype` (f32 or bf16) it is bf16 when
  // every tensor is stored so, else f32: nothing is rounded unasked.
  static absl::StatusOr<WeightLoader> Create(const ModelConfig& config, const WeightFiles& files,
                                             std::optional<DType> dtype, ModelWeights& weights);

  DType dtype() const { return dtype_; }
  // The memory that converted tensors take; 0 when every tensor is used in place.
  int64_t converted_bytes() const { return converted_bytes_; }
  bool uses_files() const;  // Whether any tensor is used in place.
  // `to` has converted_bytes(), aligned as the type.
  void Convert(std::byte* to) const;
  // Points the weights to their memory; `converted` was written by Convert, here or elsewhere.
  void Bind(const std::byte* converted) const;

 private:
  struct Source {
    WeightRole role;
    const SafetensorsTensor* tensor;
    int64_t converted_offset;  // -1: used in place.
  };

  WeightLoader(const ModelConfig& config, ModelWeights& weights)
      : config_(config), weights_(weights) {}
  absl::Status Add(WeightRole role, const WeightFiles& files);
  void PlaceAll();  // Decides of each tensor whether and where it is converted.

  const ModelConfig& config_;
  ModelWeights& weights_;
  DType dtype_ = DType::kF32;
  std::vector<Source> sources_;
  int64_t converted_bytes_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_WEIGHT_LOADER_H_
