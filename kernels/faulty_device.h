// FaultyDevice: a device whose n-th allocation fails, so that a test can sweep n over every
// allocation site. Any thread; `device` must outlive it.
#ifndef ALCHEMIST_KERNELS_FAULTY_DEVICE_H_
#define ALCHEMIST_KERNELS_FAULTY_DEVICE_H_

#include <atomic>
#include <cstdint>

#include "base/status.h"
#include "kernels/device.h"

namespace alchemist {

class FaultyDevice : public Device {
 public:
  // The `fail_at`-th call of Allocate (counted from 1) fails, all others go to `device`; 0: none
  // fails.
  FaultyDevice(Device* device, int64_t fail_at) : device_(device), fail_at_(fail_at) {}

  absl::StatusOr<Buffer> Allocate(int64_t bytes) override;
  int64_t bytes_allocated() const override { return device_->bytes_allocated(); }
  int64_t bytes_allocated_peak() const override { return device_->bytes_allocated_peak(); }
  void ResetPeak() override { device_->ResetPeak(); }

  int64_t allocations() const { return allocations_.load(); }  // Calls so far, the failed included.

 private:
  Device* const device_;
  const int64_t fail_at_;
  std::atomic<int64_t> allocations_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_FAULTY_DEVICE_H_
