#include "tools/bench/bench_adapter.h"

#include "base/random.h"
#include "model/linear.h"
#include "model/lora_config.h"

namespace alchemist {
namespace {

constexpr uint64_t kSeed = 1;
constexpr double kDeviationOfB = 0.02;

}  // namespace

absl::StatusOr<std::unique_ptr<LoraAdapter>> MakeBenchAdapter(const ModelConfig& config) {
  LoraConfig lora;
  lora.rank = kBenchRank;
  lora.alpha = 2 * kBenchRank;
  lora.targets.assign(kLinears.begin(), kLinears.end());
  ASSIGN_OR_RETURN(std::unique_ptr<LoraAdapter> adapter, LoraAdapter::Create(config, lora, kSeed));
  Random random(kSeed);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Linear linear : kLinears) {
      const TensorView b = adapter->MutableB(layer, linear);
      for (int64_t row = 0; row < b.rows; ++row) {
        float* const values = b.Row<float>(row);
        for (int64_t i = 0; i < b.width; ++i) {
          values[i] = static_cast<float>(kDeviationOfB * random.Normal());
        }
      }
    }
  }
  adapter->UpdateDigest();
  return adapter;
}

}  // namespace alchemist
