// The adapter that benchmarks compute with: LoRA on all linears, as revision 0 of the server has
// it, but with a B that is not 0, so that every gradient is. Any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_BENCH_ADAPTER_H_
#define ALCHEMIST_TOOLS_BENCH_BENCH_ADAPTER_H_

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "model/config.h"
#include "model/lora_adapter.h"

namespace alchemist {

inline constexpr int64_t kBenchRank = 16;

absl::StatusOr<std::unique_ptr<LoraAdapter>> MakeBenchAdapter(const ModelConfig& config);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_BENCH_ADAPTER_H_
