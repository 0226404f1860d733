// Nvml: what the driver tells about a device from outside, without a context on it: which processes
// it counts as users and what it charges them. The proof that a dead process's work on the device
// has ended is asked here. Its library is looked up at run time. Any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_NVML_H_
#define ALCHEMIST_KERNELS_CUDA_NVML_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace alchemist {

class Nvml {
 public:
  struct Entries;  // Of the library; nvml.cc.
  struct User {
    pid_t pid = 0;  // As the driver sees it: in a container it may be another number.
    std::optional<int64_t> bytes;  // None where the driver does not say.
  };

  // Empty: libnvidia-ml.so.1. NotFound where there is no such library.
  static absl::StatusOr<std::unique_ptr<Nvml>> Load(const std::string& library);
  ~Nvml();

  absl::StatusOr<std::string> DriverVersion() const;  // "580.159.04".
  // The processes with a context on the device, in no order. `uuid` as CudaDeviceInfo has it.
  absl::StatusOr<std::vector<User>> Users(const std::string& uuid) const;

 private:
  explicit Nvml(std::unique_ptr<Entries> entries);
  absl::StatusOr<void*> DeviceOf(const std::string& uuid) const;

  const std::unique_ptr<Entries> entries_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_NVML_H_
