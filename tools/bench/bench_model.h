// The model that benchmarks run on: a Hugging Face directory with random weights of a known shape,
// made once and used again. Pure functions but for the files; any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_BENCH_MODEL_H_
#define ALCHEMIST_TOOLS_BENCH_BENCH_MODEL_H_

#include <string>

#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/config.h"

namespace alchemist {

// "135m": SmolLM2-135M's. "tiny": for trying out a benchmark in seconds. InvalidArgument for
// others. Neither ever ends an answer by itself.
absl::StatusOr<ModelConfig> BenchShape(const std::string& name);

// Makes the model in `directory`, with a byte-level tokenizer, unless it is there already.
// FailedPrecondition when another model is.
absl::Status MakeBenchModel(const ModelConfig& config, DType dtype, const std::string& directory);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_BENCH_MODEL_H_
