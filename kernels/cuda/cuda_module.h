// CudaModule: device code that is linked in as an image (cuda.bzl), loaded onto a device. Move
// only. One thread at a time, with the device bound; kernels are valid while it lives.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_MODULE_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_MODULE_H_

#include <string>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"

struct CUmod_st;
struct CUfunc_st;

namespace alchemist {

class CudaModule {
 public:
  static absl::StatusOr<CudaModule> Load(const CudaDevice* device, const unsigned char* image);
  CudaModule() = default;
  CudaModule(CudaModule&& other) noexcept;
  CudaModule& operator=(CudaModule&& other) noexcept;
  ~CudaModule();

  // NotFound, naming it, when the image has no kernel `name` (C linkage).
  absl::StatusOr<CUfunc_st*> Kernel(const std::string& name) const;

 private:
  const CudaDevice* device_ = nullptr;
  CUmod_st* module_ = nullptr;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_MODULE_H_
