// CudnnHandle: cuDNN 9, loaded at run time and open on one device. Made once and shared by all
// CudnnAttentions, which it outlives. One thread at a time, with the device bound.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDNN_HANDLE_H_
#define ALCHEMIST_KERNELS_CUDA_CUDNN_HANDLE_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"

struct cudnnContext;

namespace alchemist {

struct CudnnEntries;

class CudnnHandle {
 public:
  // Looks in `library_directories` first; cuDNN's own parts are looked for where libcudnn.so.9 is.
  // NotFound, naming the paths that were tried, when there is no libcudnn.so.9. `device` outlives
  // it.
  static absl::StatusOr<std::unique_ptr<CudnnHandle>> Load(
      CudaDevice* device, const std::vector<std::string>& library_directories = {});
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;
  ~CudnnHandle();

  std::string version() const;  // "9.19.0".

  CudaDevice* device() const { return device_; }             // For files of this folder.
  const CudnnEntries& entries() const { return *entries_; }  // Likewise.
  cudnnContext* handle() const { return handle_; }           // Likewise.

 private:
  CudnnHandle(CudaDevice* device, std::unique_ptr<CudnnEntries> entries);

  CudaDevice* const device_;
  const std::unique_ptr<CudnnEntries> entries_;
  cudnnContext* handle_ = nullptr;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDNN_HANDLE_H_
