// RegisteredMemory: a memfd that an agent maps and pins for its device. Move only. One thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_REGISTERED_MEMORY_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_REGISTERED_MEMORY_H_

#include <cstdint>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_host_memory.h"

namespace alchemist {

class RegisteredMemory {
 public:
  // Maps `bytes` of `fd`, which stays the caller's, as `access` says, and pins them.
  static absl::StatusOr<RegisteredMemory> Create(const CudaDevice* device, int fd, int64_t bytes,
                                                 CudaAccess access);
  RegisteredMemory(RegisteredMemory&& other) noexcept;
  RegisteredMemory& operator=(RegisteredMemory&&) = delete;
  ~RegisteredMemory();  // Gives the pages back, then the mapping.

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  int64_t register_us() const { return register_us_; }  // What pinning took.

 private:
  RegisteredMemory(void* data, int64_t bytes) : data_(data), bytes_(bytes) {}

  void* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t register_us_ = 0;
  CudaHostMemory pinned_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_REGISTERED_MEMORY_H_
