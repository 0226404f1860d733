// Writes a model as a Hugging Face directory, for the tools and tests that make models. Any thread.
#ifndef ALCHEMIST_MODEL_MODEL_WRITER_H_
#define ALCHEMIST_MODEL_MODEL_WRITER_H_

#include <cstdint>
#include <string>

#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/config.h"
#include "model/weights.h"

namespace alchemist {

// Under which names a tied head is stored; all three occur in the wild.
enum class TiedHeadNames { kEmbedding, kHead, kBoth };

struct ModelWriteOptions {
  DType dtype = DType::kF32;  // Of the weights in the file.
  int64_t shards = 1;         // More than one: files listed by model.safetensors.index.json.
  TiedHeadNames tied_head_names = TiedHeadNames::kEmbedding;
};

// config.json's text, in the spelling of Transformers 4 (rope_theta and rope_scaling), which newer
// versions read too.
std::string ModelConfigJson(const ModelConfig& config, DType dtype);

// Makes `directory` where it does not exist and writes config.json and the weights, all synced.
// `weights` are f32, on the host, of `config`'s shapes. InvalidArgument when there are more shards
// than tensors.
absl::Status WriteModel(const ModelConfig& config, const ModelWeights& weights,
                        const ModelWriteOptions& options, const std::string& directory);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_MODEL_WRITER_H_
