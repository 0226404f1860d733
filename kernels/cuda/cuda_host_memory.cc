#include "kernels/cuda/cuda_host_memory.h"

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {

absl::StatusOr<CudaHostMemory> CudaHostMemory::Allocate(const CudaDevice* device, int64_t bytes) {
  void* data = nullptr;
  RETURN_IF_ERROR(device->driver().Check(device->driver().cuMemHostAlloc(&data, bytes, 0),
                                         "cuMemHostAlloc", absl::StrCat("of ", bytes, " bytes")));
  CudaHostMemory memory;
  memory.data_ = {data, GiveBack{device, /*is_registered=*/false}};
  return memory;
}

absl::StatusOr<CudaHostMemory> CudaHostMemory::Register(const CudaDevice* device, void* data,
                                                        int64_t bytes, CudaAccess access) {
  const unsigned int flags = access == CudaAccess::kRead ? CU_MEMHOSTREGISTER_READ_ONLY : 0;
  RETURN_IF_ERROR(device->driver().Check(device->driver().cuMemHostRegister(data, bytes, flags),
                                         "cuMemHostRegister",
                                         absl::StrCat("of ", bytes, " bytes")));
  CudaHostMemory memory;
  memory.data_ = {data, GiveBack{device, /*is_registered=*/true}};
  return memory;
}

void CudaHostMemory::GiveBack::operator()(void* data) const {
  const CudaDriver& driver = device->driver();
  const absl::Status status =
      is_registered ? driver.Check(driver.cuMemHostUnregister(data), "cuMemHostUnregister")
                    : driver.Check(driver.cuMemFreeHost(data), "cuMemFreeHost");
  if (!status.ok()) LOG(ERROR) << status;
}

}  // namespace alchemist
