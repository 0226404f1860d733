#include "kernels/cuda/cuda_device.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {
namespace {

constexpr int kComputeCapabilityMin = 80;

// As nvidia-smi writes it: GPU-8-4-4-4-12 hexadecimal digits.
std::string UuidText(const CUuuid& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppend(&text, absl::Hex(static_cast<uint8_t>(uuid.bytes[i]), absl::kZeroPad2));
  }
  return text;
}

absl::StatusOr<std::string> UuidOf(const CudaDriver& driver, CUdevice device) {
  CUuuid uuid;
  RETURN_IF_ERROR(driver.Check(driver.cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid"));
  return UuidText(uuid);
}

absl::StatusOr<int> Attribute(const CudaDriver& driver, CUdevice device,
                              CUdevice_attribute attribute) {
  int value = 0;
  RETURN_IF_ERROR(driver.Check(driver.cuDeviceGetAttribute(&value, attribute, device),
                               "cuDeviceGetAttribute", absl::StrCat(attribute)));
  return value;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Open(const CudaDeviceOptions& options) {
  const std::string library =
      options.driver_library.empty() ? kCudaDriverLibrary : options.driver_library;
  ASSIGN_OR_RETURN(const CudaDriver* driver, CudaDriver::Load(library));
  std::unique_ptr<CudaDevice> device(new CudaDevice(driver));
  RETURN_IF_ERROR(device->Find(options.uuid));
  RETURN_IF_ERROR(device->ReadInfo());
  if (device->info_.compute_capability < kComputeCapabilityMin) {
    return absl::FailedPreconditionError(absl::StrCat(
        device->info_.name, " has compute capability ", device->info_.compute_capability / 10, ".",
        device->info_.compute_capability % 10, "; 8.0 (sm_80) or newer is needed"));
  }
  RETURN_IF_ERROR(
      driver->Check(driver->cuDevicePrimaryCtxRetain(&device->context_, device->handle_),
                    "cuDevicePrimaryCtxRetain", device->info_.uuid));
  RETURN_IF_ERROR(device->BindThread());
  return device;
}

CudaDevice::~CudaDevice() {
  if (context_ == nullptr) return;
  const absl::Status released =
      driver_->Check(driver_->cuDevicePrimaryCtxRelease(handle_), "cuDevicePrimaryCtxRelease");
  if (!released.ok()) LOG(ERROR) << released;
}

absl::Status CudaDevice::Find(const std::string& uuid) {
  int count = 0;
  RETURN_IF_ERROR(driver_->Check(driver_->cuDeviceGetCount(&count), "cuDeviceGetCount"));
  const std::string wanted = absl::AsciiStrToLower(uuid);
  std::string seen;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    RETURN_IF_ERROR(driver_->Check(driver_->cuDeviceGet(&handle_, ordinal), "cuDeviceGet"));
    ASSIGN_OR_RETURN(info_.uuid, UuidOf(*driver_, handle_));
    if (uuid.empty() || absl::AsciiStrToLower(info_.uuid) == wanted) return absl::OkStatus();
    absl::StrAppend(&seen, seen.empty() ? "" : ", ", info_.uuid);
  }
  if (count == 0) return absl::NotFoundError("the driver sees no GPU");
  return absl::NotFoundError(absl::StrCat("no GPU has the UUID ", uuid, "; there are ", seen));
}

absl::Status CudaDevice::ReadInfo() {
  char name[128] = {};
  RETURN_IF_ERROR(
      driver_->Check(driver_->cuDeviceGetName(name, sizeof(name) - 1, handle_), "cuDeviceGetName"));
  info_.name = name;
  size_t memory_bytes = 0;
  RETURN_IF_ERROR(
      driver_->Check(driver_->cuDeviceTotalMem(&memory_bytes, handle_), "cuDeviceTotalMem"));
  info_.memory_bytes = static_cast<int64_t>(memory_bytes);
  RETURN_IF_ERROR(
      driver_->Check(driver_->cuDriverGetVersion(&info_.driver_version), "cuDriverGetVersion"));
  const auto attribute = [this](CUdevice_attribute which) {
    return Attribute(*driver_, handle_, which);
  };
  ASSIGN_OR_RETURN(const int major, attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
  ASSIGN_OR_RETURN(const int minor, attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
  info_.compute_capability = 10 * major + minor;
  ASSIGN_OR_RETURN(info_.l2_bytes, attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
  ASSIGN_OR_RETURN(info_.multiprocessors, attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
  ASSIGN_OR_RETURN(info_.copy_engines, attribute(CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT));
  ASSIGN_OR_RETURN(const int exports,
                   attribute(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED));
  info_.exports_descriptors = exports != 0;
  ASSIGN_OR_RETURN(const int mps, attribute(CU_DEVICE_ATTRIBUTE_MPS_ENABLED));
  info_.is_mps_client = mps != 0;
  return absl::OkStatus();
}

absl::Status CudaDevice::BindThread() const {
  return driver_->Check(driver_->cuCtxSetCurrent(context_), "cuCtxSetCurrent", info_.uuid);
}

absl::StatusOr<int64_t> CudaDevice::BytesFree() const {
  size_t free = 0;
  size_t total = 0;
  RETURN_IF_ERROR(driver_->Check(driver_->cuMemGetInfo(&free, &total), "cuMemGetInfo"));
  return static_cast<int64_t>(free);
}

absl::Status CudaDevice::Synchronize() const {
  return driver_->Check(driver_->cuCtxSynchronize(), "cuCtxSynchronize");
}

void CudaDevice::CountAllocated(int64_t bytes) {
  const int64_t allocated = bytes_allocated_ += bytes;
  int64_t peak = bytes_allocated_peak_;
  while (peak < allocated && !bytes_allocated_peak_.compare_exchange_weak(peak, allocated)) {
  }
}

absl::StatusOr<Buffer> CudaDevice::Allocate(int64_t bytes) {
  CHECK_GE(bytes, 0);
  if (bytes == 0) return Buffer();
  CUdeviceptr address = 0;
  const std::string what = absl::StrCat("of ", bytes, " bytes");
  RETURN_IF_ERROR(driver_->Check(driver_->cuMemAlloc(&address, bytes), "cuMemAlloc", what));
  CountAllocated(bytes);
  Buffer buffer(reinterpret_cast<void*>(address), bytes, [this](void* data, int64_t freed) {
    const absl::Status status =
        driver_->Check(driver_->cuMemFree(reinterpret_cast<CUdeviceptr>(data)), "cuMemFree");
    if (!status.ok()) LOG(ERROR) << status;
    bytes_allocated_ -= freed;
  });
  RETURN_IF_ERROR(driver_->Check(driver_->cuMemsetD8Async(address, 0, bytes, nullptr),
                                 "cuMemsetD8Async", what));
  RETURN_IF_ERROR(
      driver_->Check(driver_->cuStreamSynchronize(nullptr), "cuStreamSynchronize", what));
  return buffer;
}

}  // namespace alchemist
