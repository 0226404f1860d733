// How agents take times: on this machine's clock, or on the device's with events.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_TIMING_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_TIMING_H_

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "kernels/device.h"
#include "tools/gpu_check/agent.h"

namespace alchemist {

int64_t NowUs();  // Of the monotonic clock.

// Where kernels and copies find it.
uint64_t AddressOf(const Buffer& buffer);

// Runs `queue`, which queues something in the agent's stream, `calls` times, and returns the
// device's microseconds over their number.
absl::StatusOr<double> DeviceUsPerCall(Agent& agent, int64_t calls,
                                       const std::function<absl::Status()>& queue);

// The median of `repeats` (one call each), after one that does not count.
absl::StatusOr<double> MedianDeviceUs(Agent& agent, int64_t repeats,
                                      const std::function<absl::Status()>& queue);

// 10^9 bytes a second.
double GbPerSecond(int64_t bytes, double us);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_TIMING_H_
