// CublasLt: NVIDIA's library of matrix products, loaded at run time and open on one device. Made
// once and shared by all CudaMatmuls, which it outlives. One thread at a time, with the device
// bound.
#ifndef ALCHEMIST_KERNELS_CUDA_CUBLAS_LT_H_
#define ALCHEMIST_KERNELS_CUDA_CUBLAS_LT_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"

struct cublasLtContext;

namespace alchemist {

struct CublasLtEntries;

class CublasLt {
 public:
  // Looks in `library_directories` first. NotFound, naming the paths that were tried, when there is
  // no libcublasLt.so.13. `device` outlives it.
  static absl::StatusOr<std::unique_ptr<CublasLt>> Load(
      CudaDevice* device, const std::vector<std::string>& library_directories = {});
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;
  ~CublasLt();

  std::string version() const;  // "13.1.0".

  CudaDevice* device() const { return device_; }                // For files of this folder.
  const CublasLtEntries& entries() const { return *entries_; }  // Likewise.
  cublasLtContext* handle() const { return handle_; }           // Likewise.

 private:
  CublasLt(CudaDevice* device, std::unique_ptr<CublasLtEntries> entries);

  CudaDevice* const device_;
  const std::unique_ptr<CublasLtEntries> entries_;
  cublasLtContext* handle_ = nullptr;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUBLAS_LT_H_
