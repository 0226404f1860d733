#include "kernels/cuda/cudnn_entries.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_library.h"

namespace alchemist {
namespace {

absl::StatusCode CodeOf(cudnnStatus_t result) {
  switch (result) {
    case CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED:
    case CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED:
      return absl::StatusCode::kResourceExhausted;
    default:
      break;
  }
  switch (CUDNN_STATUS_CATEGORY(static_cast<int>(result))) {
    case 1000:
      return absl::StatusCode::kFailedPrecondition;
    case CUDNN_STATUS_BAD_PARAM:
      return absl::StatusCode::kInvalidArgument;
    case CUDNN_STATUS_NOT_SUPPORTED:
      return absl::StatusCode::kUnimplemented;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status CudnnEntries::Check(cudnnStatus_t result, absl::string_view call,
                                 absl::string_view what) const {
  if (result == CUDNN_STATUS_SUCCESS) return absl::OkStatus();
  char last[512] = {};
  cudnnGetLastErrorString(last, sizeof(last) - 1);
  return absl::Status(
      CodeOf(result),
      absl::StrCat(call, what.empty() ? "" : " ", what, ": ", cudnnGetErrorString(result), " (",
                   static_cast<int>(result), ")", last[0] == '\0' ? "" : ": ", last));
}

std::string CudnnEntries::Version() const {
  const size_t version = cudnnGetVersion();
  return absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

absl::StatusOr<std::unique_ptr<CudnnEntries>> CudnnEntries::Load(
    const std::vector<std::string>& directories) {
  // cuDNN loads these by name when it first needs them: found there if they are loaded already, and
  // otherwise only in the folders that cuDNN's packager thought of. One that is missing may not be
  // needed; cuDNN says so if it is.
  for (const char* soname : {"libnvrtc.so.13", "libcublasLt.so.13"}) {
    OpenCudaLibrary(soname, directories).status().IgnoreError();
  }
  ASSIGN_OR_RETURN(const CudaLibrary library, OpenCudaLibrary(kCudnnLibrary, directories));
  auto entries = std::make_unique<CudnnEntries>();
#define ALCHEMIST_CUDNN_LOOK_UP(entry)                                                   \
  entries->entry = reinterpret_cast<decltype(&::entry)>(dlsym(library.handle, #entry));  \
  if (entries->entry == nullptr) {                                                       \
    return absl::FailedPreconditionError(absl::StrCat(library.path, " has no " #entry)); \
  }
  ALCHEMIST_CUDNN_ENTRIES(ALCHEMIST_CUDNN_LOOK_UP)
#undef ALCHEMIST_CUDNN_LOOK_UP
  return entries;
}

}  // namespace alchemist
