// CublasLtEntries: the entry points of cuBLASLt, looked up at run time, as CudaDriver does it. Only
// files of this folder include it: it is the one that knows cublasLt.h. Never unloaded; any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_CUBLAS_LT_ENTRIES_H_
#define ALCHEMIST_KERNELS_CUDA_CUBLAS_LT_ENTRIES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "cublasLt.h"

namespace alchemist {

#define ALCHEMIST_CUBLAS_LT_ENTRIES(ENTRY) \
  ENTRY(cublasLtGetVersion)                \
  ENTRY(cublasLtGetStatusName)             \
  ENTRY(cublasLtGetStatusString)           \
  ENTRY(cublasLtCreate)                    \
  ENTRY(cublasLtDestroy)                   \
  ENTRY(cublasLtMatmul)                    \
  ENTRY(cublasLtMatmulAlgoGetHeuristic)    \
  ENTRY(cublasLtMatmulDescCreate)          \
  ENTRY(cublasLtMatmulDescDestroy)         \
  ENTRY(cublasLtMatmulDescSetAttribute)    \
  ENTRY(cublasLtMatrixLayoutCreate)        \
  ENTRY(cublasLtMatrixLayoutDestroy)       \
  ENTRY(cublasLtMatmulPreferenceCreate)    \
  ENTRY(cublasLtMatmulPreferenceDestroy)   \
  ENTRY(cublasLtMatmulPreferenceSetAttribute)

inline constexpr char kCublasLtLibrary[] = "libcublasLt.so.13";

struct CublasLtEntries {
#define ALCHEMIST_CUBLAS_LT_MEMBER(entry) decltype(&::entry) entry = nullptr;
  ALCHEMIST_CUBLAS_LT_ENTRIES(ALCHEMIST_CUBLAS_LT_MEMBER)
#undef ALCHEMIST_CUBLAS_LT_MEMBER

  // OK, or the error of `call` on `what`, by name and in the library's words. Unimplemented: no
  // algorithm for this. FailedPrecondition: no GPU, or one that the library does not know.
  absl::Status Check(cublasStatus_t result, absl::string_view call,
                     absl::string_view what = "") const;
  std::string Version() const;  // "13.1.0".

  // NotFound: OpenCudaLibrary. FailedPrecondition: a library without one of the entries.
  static absl::StatusOr<std::unique_ptr<CublasLtEntries>> Load(
      const std::vector<std::string>& directories);
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUBLAS_LT_ENTRIES_H_
