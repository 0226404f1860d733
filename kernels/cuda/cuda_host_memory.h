// CudaHostMemory: host memory that the device copies to and from without a detour: pinned, either
// allocated so or the caller's own (a memfd of two processes, say). Move only. Any thread with the
// device bound.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_HOST_MEMORY_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_HOST_MEMORY_H_

#include <cstdint>
#include <memory>

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

  void* data() const { return data_.get(); }

 private:
  struct GiveBack {
    const CudaDevice* device;  // Null while there is nothing to destroy.
    bool is_registered;
    void operator()(void* data) const;
  };
  std::unique_ptr<void, GiveBack> data_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_HOST_MEMORY_H_
