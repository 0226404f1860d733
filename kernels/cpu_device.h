// CpuDevice: memory of the process's heap, counted. Any thread; must outlive its Buffers.
#ifndef ALCHEMIST_KERNELS_CPU_DEVICE_H_
#define ALCHEMIST_KERNELS_CPU_DEVICE_H_

#include <atomic>
#include <cstdint>

#include "base/status.h"
#include "kernels/device.h"

namespace alchemist {

class CpuDevice : public Device {
 public:
  CpuDevice() = default;
  ~CpuDevice() override;
  CpuDevice(const CpuDevice&) = delete;
  CpuDevice& operator=(const CpuDevice&) = delete;

  absl::StatusOr<Buffer> Allocate(int64_t bytes) override;
  int64_t bytes_allocated() const override { return bytes_allocated_.load(); }
  int64_t bytes_allocated_peak() const override { return bytes_allocated_peak_.load(); }
  void ResetPeak() override { bytes_allocated_peak_.store(bytes_allocated()); }

 private:
  void Free(void* data, int64_t bytes);

  std::atomic<int64_t> bytes_allocated_ = 0;
  std::atomic<int64_t> bytes_allocated_peak_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CPU_DEVICE_H_
