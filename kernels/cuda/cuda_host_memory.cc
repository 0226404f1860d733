#include "kernels/cuda/cuda_host_memory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {

absl::StatusOr<CudaHostMemory> CudaHostMemory::Allocate(const CudaDevice* device, int64_t bytes) {
  const CudaDriver& driver = device->driver();
  CudaHostMemory memory;
  RETURN_IF_ERROR(driver.Check(driver.cuMemHostAlloc(&memory.data_, bytes, 0), "cuMemHostAlloc",
                               absl::StrCat("of ", bytes, " bytes")));
  memory.device_ = device;
  return memory;
}

absl::StatusOr<CudaHostMemory> CudaHostMemory::Register(const CudaDevice* device, void* data,
                                                        int64_t bytes, CudaAccess access) {
  const CudaDriver& driver = device->driver();
  const unsigned int flags = access == CudaAccess::kRead ? CU_MEMHOSTREGISTER_READ_ONLY : 0;
  RETURN_IF_ERROR(driver.Check(driver.cuMemHostRegister(data, bytes, flags), "cuMemHostRegister",
                               absl::StrCat("of ", bytes, " bytes")));
  CudaHostMemory memory;
  memory.device_ = device;
  memory.data_ = data;
  memory.registered_ = true;
  return memory;
}

CudaHostMemory::CudaHostMemory(CudaHostMemory&& other) noexcept
    : device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      registered_(other.registered_) {}

CudaHostMemory& CudaHostMemory::operator=(CudaHostMemory&& other) noexcept {
  CudaHostMemory taken(std::move(other));
  std::swap(device_, taken.device_);
  std::swap(data_, taken.data_);
  std::swap(registered_, taken.registered_);
  return *this;
}

CudaHostMemory::~CudaHostMemory() {
  if (data_ == nullptr) return;
  const CudaDriver& driver = device_->driver();
  const absl::Status status =
      registered_ ? driver.Check(driver.cuMemHostUnregister(data_), "cuMemHostUnregister")
                  : driver.Check(driver.cuMemFreeHost(data_), "cuMemFreeHost");
  if (!status.ok()) LOG(ERROR) << status;
}

}  // namespace alchemist
