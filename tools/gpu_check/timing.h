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

// The device's microseconds of one call of `queue`, which queues something in the agent's stream:
// the median of `repeats` samples of ten calls each, after one call that does not count. The device
// has other work while a sample is queued, so that it is never seen waiting for the host.
absl::StatusOr<double> MedianDeviceUs(Agent& agent, int64_t repeats,
                                      const std::function<absl::Status()>& queue);

// `count` bf16 of about 1: zeros take less power, and so come out faster than real data.
absl::StatusOr<Buffer> RandomBf16(Agent& agent, int64_t count, uint32_t seed);

// 10^9 bytes a second.
double GbPerSecond(int64_t bytes, double us);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_TIMING_H_
