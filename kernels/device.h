// Device: where private memory comes from. CpuDevice is the process's heap; ReusingDevice hands out
// again what has gone; FaultyDevice fails the n-th allocation, so that tests can show that every
// allocation site survives. Any thread.
#ifndef ALCHEMIST_KERNELS_DEVICE_H_
#define ALCHEMIST_KERNELS_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/status.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// Memory of a device, 64-byte aligned, zeroed unless the device reuses it. Move only; gives its
// bytes back when destroyed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(void* data, int64_t bytes, std::function<void(void*, int64_t)> free);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  // The first rows * width elements. REQUIRES: they fit.
  TensorView View(DType dtype, int64_t rows, int64_t width) const;

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
  std::function<void(void*, int64_t)> free_;
};

class Device {
 public:
  virtual ~Device() = default;
  // ResourceExhausted (naming `bytes`) when there is no room; nothing is changed then.
  virtual absl::StatusOr<Buffer> Allocate(int64_t bytes) = 0;
  virtual int64_t bytes_allocated() const = 0;  // By Buffers that live now.
  virtual int64_t bytes_allocated_peak() const = 0;
  virtual void ResetPeak() = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_DEVICE_H_
