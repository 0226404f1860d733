#include "tools/gpu_check/timing.h"

#include <vector>

#include "base/clock.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int kCallsOfSample = 10;
constexpr int64_t kLeadUs = 500;  // More than it takes to queue so many calls.

absl::StatusOr<double> SampleUs(Agent& agent, const std::function<absl::Status()>& queue) {
  ASSIGN_OR_RETURN(CudaEvent start, CudaEvent::Create(agent.device.get()));
  ASSIGN_OR_RETURN(CudaEvent end, CudaEvent::Create(agent.device.get()));
  RETURN_IF_ERROR(agent.probes->Spin(kLeadUs, 0, agent.stream));
  RETURN_IF_ERROR(agent.stream.Record(start));
  for (int i = 0; i < kCallsOfSample; ++i) RETURN_IF_ERROR(queue());
  RETURN_IF_ERROR(agent.stream.Record(end));
  RETURN_IF_ERROR(end.Wait());
  ASSIGN_OR_RETURN(const double us, end.MicrosecondsSince(start));
  return us / kCallsOfSample;
}

}  // namespace

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

uint64_t AddressOf(const Buffer& buffer) { return reinterpret_cast<uint64_t>(buffer.data()); }

absl::StatusOr<double> MedianDeviceUs(Agent& agent, int64_t repeats,
                                      const std::function<absl::Status()>& queue) {
  RETURN_IF_ERROR(queue());
  RETURN_IF_ERROR(agent.stream.Synchronize());
  std::vector<double> us;
  for (int64_t i = 0; i < repeats; ++i) {
    ASSIGN_OR_RETURN(us.emplace_back(), SampleUs(agent, queue));
  }
  return Percentile(us, 0.5);
}

absl::StatusOr<Buffer> RandomBf16(Agent& agent, int64_t count, uint32_t seed) {
  ASSIGN_OR_RETURN(Buffer buffer, agent.device->Allocate(2 * count));
  RETURN_IF_ERROR(agent.probes->FillBf16(AddressOf(buffer), count, seed, agent.stream));
  return buffer;
}

double GbPerSecond(int64_t bytes, double us) { return static_cast<double>(bytes) / us / 1000; }

}  // namespace alchemist
