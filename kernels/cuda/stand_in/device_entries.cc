// Entry points that say what the device is, and the context's.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda.h"
#include "kernels/cuda/stand_in/settings.h"
#include "kernels/cuda/stand_in/stand_in.h"
#include "kernels/cuda/stand_in/work_queue.h"

namespace alchemist::stand_in {
namespace {

struct ErrorText {
  CUresult result;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrorTexts[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS",
     "an illegal memory access was encountered"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
};

const ErrorText* Find(CUresult result) {
  for (const ErrorText& error : kErrorTexts) {
    if (error.result == result) return &error;
  }
  return nullptr;
}

bool IsDevice(CUdevice device) { return device >= 0 && device < DeviceCount(); }

}  // namespace
}  // namespace alchemist::stand_in

using namespace alchemist::stand_in;  // NOLINT: entry points stand outside of all namespaces.

CUresult cuInit(unsigned int /*flags*/) {
  STAND_IN_ENTER(cuInit, kNothing);
  return DeviceCount() == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
  STAND_IN_ENTER(cuDriverGetVersion, kNothing);
  *version = DriverVersion();
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
  STAND_IN_ENTER(cuGetErrorName, kNothing);
  const ErrorText* found = Find(error);
  *name = found == nullptr ? nullptr : found->name;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
  STAND_IN_ENTER(cuGetErrorString, kNothing);
  const ErrorText* found = Find(error);
  *text = found == nullptr ? nullptr : found->text;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  STAND_IN_ENTER(cuDeviceGetCount, kNothing);
  *count = DeviceCount();
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  STAND_IN_ENTER(cuDeviceGet, kNothing);
  if (!IsDevice(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int bytes, CUdevice device) {
  STAND_IN_ENTER(cuDeviceGetName, kNothing);
  if (!IsDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(name, bytes, "%s", kDeviceName);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  STAND_IN_ENTER(cuDeviceGetUuid, kNothing);
  if (!IsDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::memcpy(uuid->bytes, kDeviceUuid, sizeof(uuid->bytes));
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  STAND_IN_ENTER(cuDeviceGetAttribute, kNothing);
  if (!IsDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = 9;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = 0;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = 1 << 20;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      *value = 2;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
      *value = 1;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MPS_ENABLED:
      *value = IsUnderMps() ? 1 : 0;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuDeviceTotalMem(size_t* bytes, CUdevice device) {
  STAND_IN_ENTER(cuDeviceTotalMem, kNothing);
  if (!IsDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = MemoryBytes();
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  STAND_IN_ENTER(cuDevicePrimaryCtxRetain, kNoFault);
  if (!IsDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  *context = RetainContext();
  return *context == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  STAND_IN_ENTER(cuDevicePrimaryCtxRelease, kNoFault);
  if (!IsDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  return ReleaseContext() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxSetCurrent(CUcontext context) {
  STAND_IN_ENTER(cuCtxSetCurrent, kNoFault);
  BindContext(context);
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
  STAND_IN_ENTER(cuCtxSynchronize, kContext);
  WorkQueue::WaitForAll();
  return ContextFault();
}
