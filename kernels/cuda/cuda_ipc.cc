#include "kernels/cuda/cuda_ipc.h"

#include <cstring>
#include <utility>

#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {

static_assert(sizeof(CUipcMemHandle) == sizeof(CudaIpcHandle));

absl::StatusOr<CudaIpcHandle> ExportLegacy(const CudaDevice& device, uint64_t address) {
  CUipcMemHandle exported;
  RETURN_IF_ERROR(device.driver().Check(device.driver().cuIpcGetMemHandle(&exported, address),
                                        "cuIpcGetMemHandle"));
  CudaIpcHandle handle;
  std::memcpy(handle.data(), &exported, sizeof(exported));
  return handle;
}

absl::StatusOr<CudaIpcMapping> CudaIpcMapping::Open(const CudaDevice* device,
                                                    const CudaIpcHandle& handle) {
  const CudaDriver& driver = device->driver();
  CUipcMemHandle exported;
  std::memcpy(&exported, handle.data(), sizeof(exported));
  CUdeviceptr address = 0;
  RETURN_IF_ERROR(driver.Check(
      driver.cuIpcOpenMemHandle(&address, exported, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
      "cuIpcOpenMemHandle"));
  CudaIpcMapping mapping;
  mapping.device_ = device;
  mapping.address_ = address;
  return mapping;
}

CudaIpcMapping::CudaIpcMapping(CudaIpcMapping&& other) noexcept
    : device_(other.device_), address_(std::exchange(other.address_, 0)) {}

CudaIpcMapping& CudaIpcMapping::operator=(CudaIpcMapping&& other) noexcept {
  CudaIpcMapping taken(std::move(other));
  std::swap(device_, taken.device_);
  std::swap(address_, taken.address_);
  return *this;
}

CudaIpcMapping::~CudaIpcMapping() {
  const absl::Status closed = Close();
  if (!closed.ok()) LOG(ERROR) << closed;
}

absl::Status CudaIpcMapping::Close() {
  if (address_ == 0) return absl::OkStatus();
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuIpcCloseMemHandle(std::exchange(address_, 0)),
                      "cuIpcCloseMemHandle");
}

}  // namespace alchemist
