// Models with random weights: tests of every family and benchmarks of a real model's shape need no
// downloaded weights. Any thread.
#ifndef ALCHEMIST_MODEL_RANDOM_MODEL_H_
#define ALCHEMIST_MODEL_RANDOM_MODEL_H_

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/config.h"
#include "model/model_writer.h"

namespace alchemist {

// The least config of a family in which every size differs from every other one.
ModelConfig TinyModelConfig(ModelFamily family);

// Writes a Hugging Face directory (without a tokenizer). Weights are drawn so that activations keep
// their size from layer to layer; the same config and seed give the same f32 weights, which
// `options.dtype` then rounds. Errors are ParseModelConfig's when `config` is none that could be
// loaded again.
absl::Status WriteRandomModel(const ModelConfig& config, uint64_t seed,
                              const ModelWriteOptions& options, const std::string& directory);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_RANDOM_MODEL_H_
