#include "kernels/cuda/cuda_driver.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"

namespace alchemist {
namespace {

constexpr int kDriverVersionMin =
    13000;  // As cuDriverGetVersion says it: 1000 * major + 10 * minor.

absl::StatusCode CodeOf(CUresult result) {
  switch (result) {
    case CUDA_ERROR_NO_DEVICE:
      return absl::StatusCode::kNotFound;
    case CUDA_ERROR_OUT_OF_MEMORY:
      return absl::StatusCode::kResourceExhausted;
    case CUDA_ERROR_NOT_READY:
      return absl::StatusCode::kUnavailable;
    case CUDA_ERROR_NOT_PERMITTED:
      return absl::StatusCode::kPermissionDenied;
    case CUDA_ERROR_NOT_SUPPORTED:
      return absl::StatusCode::kUnimplemented;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_HANDLE:
    case CUDA_ERROR_INVALID_DEVICE:
      return absl::StatusCode::kInvalidArgument;
    case CUDA_ERROR_STUB_LIBRARY:
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
    case CUDA_ERROR_SYSTEM_NOT_READY:
    case CUDA_ERROR_MPS_CONNECTION_FAILED:
    case CUDA_ERROR_MPS_RPC_FAILURE:
    case CUDA_ERROR_MPS_SERVER_NOT_READY:
    case CUDA_ERROR_MPS_MAX_CLIENTS_REACHED:
    case CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED:
      return absl::StatusCode::kFailedPrecondition;
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_MPS_CLIENT_TERMINATED:
      return absl::StatusCode::kOutOfRange;
    default:
      return absl::StatusCode::kInternal;
  }
}

#define ALCHEMIST_CUDA_STRING(text) #text
#define ALCHEMIST_CUDA_SYMBOL(entry) ALCHEMIST_CUDA_STRING(entry)  // After cuda.h's macros.

absl::Status LookUp(void* library, const std::string& name, CudaDriver& driver) {
#define ALCHEMIST_CUDA_LOOK_UP(entry)                                                     \
  driver.entry =                                                                          \
      reinterpret_cast<decltype(&::entry)>(dlsym(library, ALCHEMIST_CUDA_SYMBOL(entry))); \
  if (driver.entry == nullptr) {                                                          \
    return absl::FailedPreconditionError(                                                 \
        absl::StrCat(name, " has no ", ALCHEMIST_CUDA_SYMBOL(entry),                      \
                     ": the driver must be of CUDA 13.0 (r580) or newer"));               \
  }
  ALCHEMIST_CUDA_ENTRIES(ALCHEMIST_CUDA_LOOK_UP)
#undef ALCHEMIST_CUDA_LOOK_UP
  return absl::OkStatus();
}

std::string VersionText(int version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

absl::StatusOr<std::unique_ptr<CudaDriver>> Open(const std::string& name) {
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::NotFoundError(absl::StrCat("no NVIDIA driver: ", dlerror()));
  }
  auto driver = std::make_unique<CudaDriver>();
  RETURN_IF_ERROR(LookUp(library, name, *driver));
  RETURN_IF_ERROR(driver->Check(driver->cuInit(0), "cuInit", name));
  int version = 0;
  RETURN_IF_ERROR(driver->Check(driver->cuDriverGetVersion(&version), "cuDriverGetVersion"));
  if (version < kDriverVersionMin) {
    return absl::FailedPreconditionError(
        absl::StrCat("the driver is of CUDA ", VersionText(version), "; ",
                     VersionText(kDriverVersionMin), " (r580) or newer is needed"));
  }
  return driver;
}

struct LoadedDrivers {
  Mutex mutex;  // Agents and tests load drivers from any thread.
  std::map<std::string, std::unique_ptr<CudaDriver>> by_library ABSL_GUARDED_BY(mutex);
};

}  // namespace

absl::Status CudaDriver::Check(CUresult result, absl::string_view call,
                               absl::string_view what) const {
  if (result == CUDA_SUCCESS) return absl::OkStatus();
  const char* name = nullptr;
  const char* text = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS) name = "unknown error";
  if (cuGetErrorString(result, &text) != CUDA_SUCCESS) text = "no description";
  return absl::Status(CodeOf(result), absl::StrCat(call, what.empty() ? "" : " ", what, ": ", name,
                                                   " (", static_cast<int>(result), "): ", text));
}

absl::StatusOr<const CudaDriver*> CudaDriver::Load(const std::string& library) {
  static LoadedDrivers& drivers = *new LoadedDrivers;
  MutexLock lock(&drivers.mutex);
  auto found = drivers.by_library.find(library);
  if (found == drivers.by_library.end()) {
    ASSIGN_OR_RETURN(std::unique_ptr<CudaDriver> driver, Open(library));
    found = drivers.by_library.emplace(library, std::move(driver)).first;
  }
  return found->second.get();
}

}  // namespace alchemist
