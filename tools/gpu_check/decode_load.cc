#include "tools/gpu_check/decode_load.h"

#include <algorithm>

namespace alchemist {
namespace {

constexpr double kKernelUs = 250;
constexpr int64_t kBytesGranule = int64_t{1} << 12;

}  // namespace

nlohmann::json DecodeLoad::Arguments(int64_t ms) const {
  return {{"ms", ms}, {"kernels", kernels}};
}

absl::StatusOr<DecodeLoad> PrepareDecode(CheckRun& run, AgentProcess& agent) {
  const int64_t probe_bytes = run.form().copy_bytes;
  ASSIGN_OR_RETURN(const AgentMessage probe,
                   run.Ask(agent, "prepare_decode", {{"bytes", probe_bytes}}));
  const double wanted = static_cast<double>(probe_bytes) * kKernelUs / probe.Number("us");
  DecodeLoad load;
  load.bytes = std::clamp<int64_t>(static_cast<int64_t>(wanted), kBytesGranule, 2 * probe_bytes) /
               kBytesGranule * kBytesGranule;
  load.kernels = std::max<int64_t>(1, run.form().step_us / static_cast<int64_t>(kKernelUs));
  RETURN_IF_ERROR(run.Ask(agent, "prepare_decode", {{"bytes", load.bytes}}).status());
  return load;
}

int64_t TrainingLoad::UnitsIn(int64_t us) const {
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(us) / unit_us));
}

absl::StatusOr<TrainingLoad> PrepareTraining(CheckRun& run, AgentProcess& agent) {
  ASSIGN_OR_RETURN(const AgentMessage unit, run.Ask(agent, "prepare_training",
                                                    {{"rows", run.form().product_rows},
                                                     {"width", run.form().product_width}}));
  return TrainingLoad{.unit_us = unit.Number("us")};
}

}  // namespace alchemist
