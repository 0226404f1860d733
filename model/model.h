// Model: config, weights and rope table of one base model, immutable after loading and used by all
// threads. It computes in f32 or bf16. Weights are mapped once: those stored in that type are used
// in place in the mapped safetensors files, whose pages both daemons share; others the server
// converts once into a sealed memfd, which the trainer maps (DESIGN.md section 9).
#ifndef ALCHEMIST_MODEL_MODEL_H_
#define ALCHEMIST_MODEL_MODEL_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "kernels/matmul.h"
#include "kernels/rope.h"
#include "kernels/shared_memory.h"
#include "model/config.h"
#include "model/weights.h"

namespace alchemist {

// The value of a --dtype flag: nullopt for "auto". InvalidArgument for other than auto, f32, bf16.
absl::StatusOr<std::optional<DType>> ParseModelDType(const std::string& name);

class Model {
 public:
  // Loads a Hugging Face directory to compute in `dtype`, f32 or bf16, and converts where needed.
  // Without: in bf16 when all weights are stored so, else in f32. Errors name file, tensor, field.
  static absl::StatusOr<std::unique_ptr<const Model>> Load(
      const std::string& directory, std::optional<DType> dtype = std::nullopt);
  // The same model in the other daemon: `dtype` is its type and `converted` the memfd of the
  // server's Load, if it made one. FailedPrecondition when `base_digest` is not that of
  // `directory`.
  static absl::StatusOr<std::unique_ptr<const Model>> LoadShared(
      const std::string& directory, const std::string& base_digest, DType dtype,
      std::optional<FileDescriptor> converted, int64_t converted_bytes);

  virtual ~Model() = default;

  const ModelConfig& config() const { return config_; }
  const ModelWeights& weights() const { return weights_; }
  const RopeTable& rope() const { return *rope_; }
  DType dtype() const { return dtype_; }  // Of weights, activations and K/V in memory.
  const std::string& directory() const { return directory_; }
  // SHA-256 (hex) over config.json and the weight files, cached by inode, size and time.
  const std::string& base_digest() const { return base_digest_; }
  // The converted weights to hand to the trainer, or null when files are used in place.
  virtual const SharedMemory* converted() const = 0;
  // Every distinct (in, out) of its linears and head, for MatmulSelfTest.
  std::vector<MatmulShape> MatmulShapes() const;

 protected:
  Model() = default;
  DType dtype_ = DType::kF32;
  ModelConfig config_;
  ModelWeights weights_;
  std::unique_ptr<const RopeTable> rope_;
  std::string directory_;
  std::string base_digest_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_MODEL_H_
