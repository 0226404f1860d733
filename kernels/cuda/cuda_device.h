// CudaDevice: one GPU, found by its UUID, and this process's primary context on it. A Device whose
// Buffers are device memory: data() is an address that only kernels and CudaStream's copies may
// use. Opening binds the context to the calling thread; another thread that uses the device or what
// was made on it calls BindThread first. Outlives everything made on it.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_DEVICE_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "kernels/device.h"

struct CUctx_st;

namespace alchemist {

struct CudaDriver;

struct CudaDeviceOptions {
  std::string uuid = {};            // "GPU-" and 36 characters; empty: the first device.
  std::string driver_library = {};  // Empty: libcuda.so.1.
};

struct CudaDeviceInfo {
  std::string name;
  std::string uuid;            // As nvidia-smi -L prints it. What another process opens it by: an
                               // ordinal may mean another device there.
  int driver_version = 0;      // Of CUDA: 1000 * major + 10 * minor.
  int compute_capability = 0;  // 10 * major + minor.
  int64_t memory_bytes = 0;
  int64_t l2_bytes = 0;
  int multiprocessors = 0;
  int copy_engines = 0;
  bool exports_descriptors = false;  // cuMemCreate memory as POSIX descriptors.
  bool is_mps_client = false;        // This process shares the device through an MPS server.
};

class CudaDevice : public Device {
 public:
  // NotFound: no driver, no GPU, or none with that UUID. FailedPrecondition: the driver is too old,
  // or the GPU older than sm_80.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Open(const CudaDeviceOptions& options);
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice() override;

  const CudaDeviceInfo& info() const { return info_; }
  absl::Status BindThread() const;
  // What the driver can still give, to any process. Only to be printed: budgets are ledgers.
  absl::StatusOr<int64_t> BytesFree() const;
  // Waits for everything this process has queued on the device.
  absl::Status Synchronize() const;

  absl::StatusOr<Buffer> Allocate(int64_t bytes) override;
  int64_t bytes_allocated() const override { return bytes_allocated_; }
  int64_t bytes_allocated_peak() const override { return bytes_allocated_peak_; }
  void ResetPeak() override { bytes_allocated_peak_ = bytes_allocated_.load(); }

  const CudaDriver& driver() const { return *driver_; }  // For files of this folder.
  int handle() const { return handle_; }                 // The driver's; likewise.

 private:
  explicit CudaDevice(const CudaDriver* driver) : driver_(driver) {}
  absl::Status Find(const std::string& uuid);
  absl::Status ReadInfo();
  void CountAllocated(int64_t bytes);

  const CudaDriver* const driver_;
  int handle_ = -1;
  CUctx_st* context_ = nullptr;
  CudaDeviceInfo info_;
  std::atomic<int64_t> bytes_allocated_{0};
  std::atomic<int64_t> bytes_allocated_peak_{0};
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_DEVICE_H_
