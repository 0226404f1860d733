#include "tools/gpu_check/decode_load.h"

#include <algorithm>

namespace alchemist {
namespace {

constexpr double kKernelUs = 250;
constexpr int64_t kBytesGranule = int64_t{1} << 12;

}  // namespace

nlohmann::json DecodeLoad::Arguments(int64_t ms) const {
  return {{"ms", ms}, {"kernels", kernels}, {"bytes", bytes}};
}

absl::StatusOr<DecodeLoad> CalibrateDecode(CheckRun& run, AgentProcess& agent) {
  const int64_t probe_bytes = run.form().copy_bytes;
  ASSIGN_OR_RETURN(const AgentMessage probe, run.Ask(agent, "read_us", {{"bytes", probe_bytes}}));
  const double wanted = static_cast<double>(probe_bytes) * kKernelUs / probe.Number("us");
  DecodeLoad load;
  load.bytes = std::max(static_cast<int64_t>(wanted) / kBytesGranule, int64_t{1}) * kBytesGranule;
  load.kernels = std::max<int64_t>(1, run.form().step_us / static_cast<int64_t>(kKernelUs));
  return load;
}

nlohmann::json TrainingLoad::Arguments(int64_t ms, int64_t queued_us) const {
  return {
      {"ms", ms}, {"rows", rows}, {"width", width}, {"unit_us", unit_us}, {"queued_us", queued_us}};
}

absl::StatusOr<TrainingLoad> CalibrateTraining(CheckRun& run, AgentProcess& agent) {
  TrainingLoad load;
  load.rows = run.form().product_rows;
  load.width = run.form().product_width;
  ASSIGN_OR_RETURN(const AgentMessage unit,
                   run.Ask(agent, "unit_us", {{"rows", load.rows}, {"width", load.width}}));
  load.unit_us = unit.Number("us");
  return load;
}

}  // namespace alchemist
