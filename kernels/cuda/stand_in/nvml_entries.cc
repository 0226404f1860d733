// Entry points of NVML: what the machine's tools see of the device, whichever process they are in.
// The toolkit has no nvml.h: this is its ABI.
#include <atomic>
#include <cstdio>
#include <cstring>

#include "kernels/cuda/stand_in/device_memory.h"
#include "kernels/cuda/stand_in/settings.h"

extern "C" {

using nvmlReturn_t = int;
using nvmlDevice_t = struct nvmlDevice_st*;

struct nvmlProcessInfo_t {
  unsigned int pid;
  unsigned long long usedGpuMemory;
  unsigned int gpuInstanceId;
  unsigned int computeInstanceId;
};

nvmlReturn_t nvmlInit_v2();
nvmlReturn_t nvmlShutdown();
const char* nvmlErrorString(nvmlReturn_t result);
nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int bytes);
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device);
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_t* processes);

}  // extern "C"

namespace alchemist::stand_in {
namespace {

constexpr nvmlReturn_t kSuccess = 0;
constexpr nvmlReturn_t kUninitialized = 1;
constexpr nvmlReturn_t kInvalidArgument = 2;
constexpr nvmlReturn_t kNotFound = 6;
constexpr nvmlReturn_t kInsufficientSize = 7;

constexpr unsigned int kNoInstance = 0xFFFFFFFF;  // The device is not cut into pieces.
std::atomic<int> initialized{0};                  // How often, less shutdowns.
char the_device;

nvmlDevice_t TheDevice() { return reinterpret_cast<nvmlDevice_t>(&the_device); }

nvmlReturn_t EnterNvml(const char* entry) {
  if (const int injected = InjectedFailure(entry); injected != 0) return injected;
  return initialized == 0 ? kUninitialized : kSuccess;
}

}  // namespace
}  // namespace alchemist::stand_in

using namespace alchemist::stand_in;  // NOLINT: entry points stand outside of all namespaces.

nvmlReturn_t nvmlInit_v2() {
  if (const int injected = InjectedFailure("nvmlInit_v2"); injected != 0) return injected;
  ++initialized;
  return kSuccess;
}

nvmlReturn_t nvmlShutdown() {
  if (const nvmlReturn_t refused = EnterNvml("nvmlShutdown"); refused != kSuccess) return refused;
  --initialized;
  return kSuccess;
}

const char* nvmlErrorString(nvmlReturn_t result) {
  switch (result) {
    case kSuccess:
      return "Success";
    case kUninitialized:
      return "Uninitialized";
    case kInvalidArgument:
      return "Invalid Argument";
    case kNotFound:
      return "Not Found";
    case kInsufficientSize:
      return "Insufficient Size";
    default:
      return "Unknown Error";
  }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int bytes) {
  const nvmlReturn_t refused = EnterNvml("nvmlSystemGetDriverVersion");
  if (refused != kSuccess) return refused;
  std::snprintf(version, bytes, "580.00 (stand-in)");
  return kSuccess;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  const nvmlReturn_t refused = EnterNvml("nvmlDeviceGetHandleByUUID");
  if (refused != kSuccess) return refused;
  if (DeviceCount() == 0 || std::strcmp(uuid, kDeviceUuidText) != 0) return kNotFound;
  *device = TheDevice();
  return kSuccess;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_t* processes) {
  const nvmlReturn_t refused = EnterNvml("nvmlDeviceGetComputeRunningProcesses_v3");
  if (refused != kSuccess) return refused;
  if (device != TheDevice()) return kInvalidArgument;
  const MemoryUsage usage = ReadMemoryUsage();
  const unsigned int room = *count;
  *count = static_cast<unsigned int>(usage.bytes_by_process.size());
  if (*count > room) return kInsufficientSize;
  for (const auto& [process, bytes] : usage.bytes_by_process) {
    *processes++ = {static_cast<unsigned int>(process), bytes, kNoInstance, kNoInstance};
  }
  return kSuccess;
}
