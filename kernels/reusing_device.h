// ReusingDevice: keeps the memory of Buffers that have gone for those to come, for work that takes
// a few large ones again and again. Memory that the system must find, map and clear each time costs
// a training step a tenth of its time. Any thread; `device` must outlive it, and it its Buffers.
//
// Memory comes back as it was left: a Buffer is zeroed only when it is new. What is kept is at most
// about twice the largest Buffer for each one that lived at once; GiveBack gives it up.
#ifndef ALCHEMIST_KERNELS_REUSING_DEVICE_H_
#define ALCHEMIST_KERNELS_REUSING_DEVICE_H_

#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "base/status.h"
#include "kernels/device.h"

namespace alchemist {

class ReusingDevice : public Device {
 public:
  explicit ReusingDevice(Device* device) : device_(device) {}
  ~ReusingDevice() override;

  // The smallest kept block that holds `bytes` and is not twice as large; else a new one, in place
  // of the largest kept one that is too small. Kept memory is given back before it fails.
  absl::StatusOr<Buffer> Allocate(int64_t bytes) override;
  // Of the device below, kept blocks included.
  int64_t bytes_allocated() const override { return device_->bytes_allocated(); }
  int64_t bytes_allocated_peak() const override { return device_->bytes_allocated_peak(); }
  void ResetPeak() override { device_->ResetPeak(); }

  // Gives all kept memory back to the device.
  void GiveBack();

 private:
  // Takes the block out of those kept; none when there is no such.
  Buffer TakeFitting(int64_t bytes);
  Buffer TakeOutgrown(int64_t bytes);
  void Keep(void* data);

  Device* const device_;
  Mutex mutex_;                                                  // A Buffer may go on any thread.
  std::multimap<int64_t, Buffer> kept_ ABSL_GUARDED_BY(mutex_);  // By size.
  std::map<void*, Buffer> lent_ ABSL_GUARDED_BY(mutex_);         // Whole blocks, by address.
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_REUSING_DEVICE_H_
