// The two loads that experiments put beside each other, fitted to the device: steps like a decode's
// and work like training's. Plain values.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_DECODE_LOAD_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_DECODE_LOAD_H_

#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "tools/gpu_check/check_run.h"

namespace alchemist {

// A step: `kernels` one after the other, each of which reads `bytes`.
struct DecodeLoad {
  int64_t kernels = 0;
  int64_t bytes = 0;

  nlohmann::json Arguments(int64_t ms) const;  // Of an agent's "decode_steps".
};

// Kernels of about 250 us, as many as make a step of the form's length; `agent` is ready to run
// them.
absl::StatusOr<DecodeLoad> PrepareDecode(CheckRun& run, AgentProcess& agent);

// Matrix products, of which one takes `unit_us` alone.
struct TrainingLoad {
  double unit_us = 0;

  // As many units as fit into `us`; at least one.
  int64_t UnitsIn(int64_t us) const;
};

absl::StatusOr<TrainingLoad> PrepareTraining(CheckRun& run, AgentProcess& agent);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_DECODE_LOAD_H_
