// CudaModule: device code that is linked in as an image (cuda.bzl), loaded onto a device. Move
// only. One thread at a time, with the device bound; kernels are valid while it lives.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_MODULE_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_MODULE_H_

#include <memory>
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

  // NotFound, naming it, when the image has no kernel `name` (C linkage).
  absl::StatusOr<CUfunc_st*> Kernel(const std::string& name) const;

 private:
  struct Unload {
    const CudaDevice* device;  // Null while there is nothing to destroy.
    void operator()(CUmod_st* module) const;
  };
  std::unique_ptr<CUmod_st, Unload> module_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_MODULE_H_
