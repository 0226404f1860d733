#include "tools/gpu_check/timing.h"

#include <vector>

#include "base/clock.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

uint64_t AddressOf(const Buffer& buffer) { return reinterpret_cast<uint64_t>(buffer.data()); }

absl::StatusOr<double> DeviceUsPerCall(Agent& agent, int64_t calls,
                                       const std::function<absl::Status()>& queue) {
  ASSIGN_OR_RETURN(CudaEvent start, CudaEvent::Create(agent.device.get()));
  ASSIGN_OR_RETURN(CudaEvent end, CudaEvent::Create(agent.device.get()));
  RETURN_IF_ERROR(agent.stream.Record(start));
  for (int64_t i = 0; i < calls; ++i) RETURN_IF_ERROR(queue());
  RETURN_IF_ERROR(agent.stream.Record(end));
  RETURN_IF_ERROR(end.Wait());
  ASSIGN_OR_RETURN(const double us, end.MicrosecondsSince(start));
  return us / static_cast<double>(calls);
}

absl::StatusOr<double> MedianDeviceUs(Agent& agent, int64_t repeats,
                                      const std::function<absl::Status()>& queue) {
  RETURN_IF_ERROR(DeviceUsPerCall(agent, 1, queue).status());
  std::vector<double> us;
  for (int64_t i = 0; i < repeats; ++i) {
    ASSIGN_OR_RETURN(us.emplace_back(), DeviceUsPerCall(agent, 1, queue));
  }
  return Percentile(us, 0.5);
}

double GbPerSecond(int64_t bytes, double us) { return static_cast<double>(bytes) / us / 1000; }

}  // namespace alchemist
