// CudaHostMemory: host memory that the device copies to and from without a detour: pinned, either
// allocated so or the caller's own (a memfd of two processes, say). Move only. Any thread with the
// device bound.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_HOST_MEMORY_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_HOST_MEMORY_H_

#include <cstdint>

#include "base/status.h"
#include "kernels/cuda/cuda_arena.h"
#include "kernels/cuda/cuda_device.h"

namespace alchemist {

class CudaHostMemory {
 public:
  static absl::StatusOr<CudaHostMemory> Allocate(const CudaDevice* device, int64_t bytes);
  // Pins `data`, whole pages that stay the caller's and outlive this. kRead: mapped without the
  // right to write, which not every machine can register (Unimplemented).
  static absl::StatusOr<CudaHostMemory> Register(const CudaDevice* device, void* data,
                                                 int64_t bytes, CudaAccess access);
  CudaHostMemory() = default;
  CudaHostMemory(CudaHostMemory&& other) noexcept;
  CudaHostMemory& operator=(CudaHostMemory&& other) noexcept;
  ~CudaHostMemory();

  void* data() const { return data_; }

 private:
  const CudaDevice* device_ = nullptr;
  void* data_ = nullptr;
  bool registered_ = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_HOST_MEMORY_H_
