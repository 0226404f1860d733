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

// Kernels of about 250 us, as many as make a step of the form's length.
absl::StatusOr<DecodeLoad> CalibrateDecode(CheckRun& run, AgentProcess& agent);

// Matrix products, of which one takes `unit_us` alone.
struct TrainingLoad {
  int64_t rows = 0;
  int64_t width = 0;
  double unit_us = 0;

  nlohmann::json Arguments(int64_t ms, int64_t queued_us) const;  // Of "training".
};

absl::StatusOr<TrainingLoad> CalibrateTraining(CheckRun& run, AgentProcess& agent);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_DECODE_LOAD_H_
