#include "tools/gpu_check/machine.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "tools/bench/host.h"

namespace alchemist {
namespace {

// 13000 -> "13.0".
std::string CudaVersionText(int64_t version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

std::string DriverText(const AgentMessage& device, const Nvml* nvml) {
  const std::string cuda = "CUDA " + CudaVersionText(device.Integer("driver_version"));
  if (nvml == nullptr) return cuda;
  const auto version = nvml->DriverVersion();
  return version.ok() ? absl::StrCat(*version, ", ", cuda) : cuda;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> DescribeGpuMachine(const AgentMessage& device,
                                                                    const Nvml* nvml) {
  const int64_t capability = device.Integer("compute_capability");
  return {{"GPU", device.Text("name")},
          {"UUID", device.Text("uuid")},
          {"driver", DriverText(device, nvml)},
          {"compute capability", absl::StrCat(capability / 10, ".", capability % 10)},
          {"memory", absl::StrCat(device.Integer("memory_bytes") >> 20, " MiB, ",
                                  device.Integer("bytes_free") >> 20, " MiB free")},
          {"multiprocessors", absl::StrCat(device.Integer("multiprocessors"))},
          {"L2", absl::StrCat(device.Integer("l2_bytes") >> 20, " MiB")},
          {"copy engines", absl::StrCat(device.Integer("copy_engines"))},
          {"kernel", KernelName()},
          {"CPU", absl::StrCat(std::thread::hardware_concurrency(), " x ", CpuName())}};
}

}  // namespace alchemist
