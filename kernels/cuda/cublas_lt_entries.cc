#include "kernels/cuda/cublas_lt_entries.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_library.h"

namespace alchemist {
namespace {

absl::StatusCode CodeOf(cublasStatus_t result) {
  switch (result) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return absl::StatusCode::kFailedPrecondition;
    case CUBLAS_STATUS_ALLOC_FAILED:
      return absl::StatusCode::kResourceExhausted;
    case CUBLAS_STATUS_INVALID_VALUE:
      return absl::StatusCode::kInvalidArgument;
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return absl::StatusCode::kUnimplemented;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status CublasLtEntries::Check(cublasStatus_t result, absl::string_view call,
                                    absl::string_view what) const {
  if (result == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  return absl::Status(
      CodeOf(result),
      absl::StrCat(call, what.empty() ? "" : " ", what, ": ", cublasLtGetStatusName(result), " (",
                   static_cast<int>(result), "): ", cublasLtGetStatusString(result)));
}

std::string CublasLtEntries::Version() const {
  const size_t version = cublasLtGetVersion();
  return absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

absl::StatusOr<std::unique_ptr<CublasLtEntries>> CublasLtEntries::Load(
    const std::vector<std::string>& directories) {
  ASSIGN_OR_RETURN(const CudaLibrary library, OpenCudaLibrary(kCublasLtLibrary, directories));
  auto entries = std::make_unique<CublasLtEntries>();
#define ALCHEMIST_CUBLAS_LT_LOOK_UP(entry)                                               \
  entries->entry = reinterpret_cast<decltype(&::entry)>(dlsym(library.handle, #entry));  \
  if (entries->entry == nullptr) {                                                       \
    return absl::FailedPreconditionError(absl::StrCat(library.path, " has no " #entry)); \
  }
  ALCHEMIST_CUBLAS_LT_ENTRIES(ALCHEMIST_CUBLAS_LT_LOOK_UP)
#undef ALCHEMIST_CUBLAS_LT_LOOK_UP
  return entries;
}

}  // namespace alchemist
