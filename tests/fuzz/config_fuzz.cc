// config.json; after a zero byte, which no JSON has, generation_config.json.
#include "absl/strings/string_view.h"
#include "base/logging.h"
#include "model/activation_layout.h"
#include "model/config.h"
#include "tests/fuzz/fuzz_target.h"

namespace alchemist {

bool TakesInput(absl::string_view input) {
  const size_t zero = input.find('\0');
  auto config = ParseModelConfig(input.substr(0, zero), "config");
  if (!config.ok()) return false;
  if (zero != absl::string_view::npos &&
      !ParseGenerationConfig(input.substr(zero + 1), "generation", *config).ok()) {
    return false;
  }
  for (const int32_t id : config->eos_ids) CHECK(id >= 0 && id < config->vocab) << id;
  // The sizes of a config that is taken can be computed with, without any further check.
  const ActivationLayout layout(*config, DType::kF32, /*lowest_trained_layer=*/0);
  CHECK_GT(layout.RecordBytes(config->context, config->context), 0);
  CHECK_GT(config->vocab * config->hidden * config->layers, 0);
  return true;
}

}  // namespace alchemist
