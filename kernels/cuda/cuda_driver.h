// CudaDriver: the entry points of NVIDIA's driver library, looked up at run time, so that a binary
// with the CUDA backend starts on any machine and says there that it has no GPU. Only files of this
// folder include it: it is the one that knows cuda.h. Never unloaded; any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_DRIVER_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_DRIVER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "cuda.h"

namespace alchemist {

// Every entry point that is used, all of CUDA 13.0 or older. cuda.h defines most of these names as
// macros for the newest version of a call (cuMemAlloc -> cuMemAlloc_v2); they are looked up as
// such.
// clang-format off
#define ALCHEMIST_CUDA_ENTRIES(ENTRY)                                                    \
  ENTRY(cuInit) ENTRY(cuDriverGetVersion) ENTRY(cuGetErrorName) ENTRY(cuGetErrorString)  \
  /* Devices and contexts. */                                                            \
  ENTRY(cuDeviceGetCount) ENTRY(cuDeviceGet) ENTRY(cuDeviceGetName)                      \
  ENTRY(cuDeviceGetUuid) ENTRY(cuDeviceGetAttribute) ENTRY(cuDeviceTotalMem)             \
  ENTRY(cuDevicePrimaryCtxRetain) ENTRY(cuDevicePrimaryCtxRelease)                       \
  ENTRY(cuCtxSetCurrent) ENTRY(cuCtxSynchronize)                                         \
  /* Memory of one process. */                                                           \
  ENTRY(cuMemGetInfo) ENTRY(cuMemAlloc) ENTRY(cuMemFree) ENTRY(cuMemHostAlloc)           \
  ENTRY(cuMemFreeHost) ENTRY(cuMemHostRegister) ENTRY(cuMemHostUnregister)               \
  /* Memory that two processes share. */                                                 \
  ENTRY(cuMemGetAllocationGranularity) ENTRY(cuMemAddressReserve)                        \
  ENTRY(cuMemAddressFree) ENTRY(cuMemCreate) ENTRY(cuMemRelease) ENTRY(cuMemMap)         \
  ENTRY(cuMemUnmap) ENTRY(cuMemSetAccess) ENTRY(cuMemExportToShareableHandle)            \
  ENTRY(cuMemImportFromShareableHandle) ENTRY(cuIpcGetMemHandle)                         \
  ENTRY(cuIpcOpenMemHandle) ENTRY(cuIpcCloseMemHandle)                                   \
  /* Streams, events and what runs in them. */                                           \
  ENTRY(cuStreamCreateWithPriority) ENTRY(cuStreamDestroy) ENTRY(cuStreamSynchronize)    \
  ENTRY(cuEventCreate) ENTRY(cuEventDestroy) ENTRY(cuEventRecord)                        \
  ENTRY(cuEventSynchronize) ENTRY(cuEventQuery) ENTRY(cuEventElapsedTime)                \
  ENTRY(cuMemcpyHtoDAsync) ENTRY(cuMemcpyDtoHAsync) ENTRY(cuMemcpyDtoDAsync)             \
  ENTRY(cuMemsetD8Async) ENTRY(cuModuleLoadData) ENTRY(cuModuleUnload)                   \
  ENTRY(cuModuleGetFunction) ENTRY(cuLaunchKernel) ENTRY(cuStreamBeginCapture)           \
  ENTRY(cuStreamEndCapture) ENTRY(cuGraphInstantiateWithFlags) ENTRY(cuGraphDestroy)     \
  ENTRY(cuGraphExecDestroy) ENTRY(cuGraphLaunch)
// clang-format on

inline constexpr char kCudaDriverLibrary[] = "libcuda.so.1";

struct CudaDriver {
#define ALCHEMIST_CUDA_MEMBER(entry) decltype(&::entry) entry = nullptr;
  ALCHEMIST_CUDA_ENTRIES(ALCHEMIST_CUDA_MEMBER)
#undef ALCHEMIST_CUDA_MEMBER

  // OK, or the error of `call` on `what`, by name and in the driver's words. OutOfRange is a fault
  // of a kernel (an illegal access, a failed assertion): the context and all that is in it are
  // lost. NotFound: there is no GPU. ResourceExhausted: no memory. Unavailable: not ready yet.
  absl::Status Check(CUresult result, absl::string_view call, absl::string_view what = "") const;

  // Loads `library`, once per process and name, and initialises it. NotFound where there is no such
  // library or no GPU; FailedPrecondition, naming both versions, when it is older than CUDA 13.0.
  static absl::StatusOr<const CudaDriver*> Load(const std::string& library);
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_DRIVER_H_
