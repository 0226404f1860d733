// The legacy way to share device memory, where a machine cannot export descriptors: 64 bytes that
// name a whole allocation to whoever holds them (a bearer secret). It takes memory of
// CudaDevice::Allocate, never an arena's. If the exporter frees first, the outcome is undefined.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_IPC_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_IPC_H_

#include <array>
#include <cstdint>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"

namespace alchemist {

using CudaIpcHandle = std::array<uint8_t, 64>;

// `address`: the first byte of an allocation, which the handle maps whole.
absl::StatusOr<CudaIpcHandle> ExportLegacy(const CudaDevice& device, uint64_t address);

// A peer's allocation, mapped here. Move only. One thread at a time, with the device bound.
class CudaIpcMapping {
 public:
  static absl::StatusOr<CudaIpcMapping> Open(const CudaDevice* device, const CudaIpcHandle& handle);
  CudaIpcMapping() = default;
  CudaIpcMapping(CudaIpcMapping&& other) noexcept;
  CudaIpcMapping& operator=(CudaIpcMapping&& other) noexcept;
  ~CudaIpcMapping();  // Logs what of Close fails.

  absl::Status Close();  // Nothing on the device may use it any more.

  uint64_t address() const { return address_; }

 private:
  const CudaDevice* device_ = nullptr;
  uint64_t address_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_IPC_H_
