// CudnnEntries: the entry points of cuDNN 9, looked up at run time, as CudaDriver does it. Only
// files of this folder include it: it is the one that knows cudnn_graph.h. Never unloaded; any
// thread.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDNN_ENTRIES_H_
#define ALCHEMIST_KERNELS_CUDA_CUDNN_ENTRIES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "cudnn_graph.h"

namespace alchemist {

#define ALCHEMIST_CUDNN_ENTRIES(ENTRY) \
  ENTRY(cudnnGetVersion)               \
  ENTRY(cudnnGetErrorString)           \
  ENTRY(cudnnGetLastErrorString)       \
  ENTRY(cudnnCreate)                   \
  ENTRY(cudnnDestroy)                  \
  ENTRY(cudnnSetStream)                \
  ENTRY(cudnnBackendCreateDescriptor)  \
  ENTRY(cudnnBackendDestroyDescriptor) \
  ENTRY(cudnnBackendFinalize)          \
  ENTRY(cudnnBackendSetAttribute)      \
  ENTRY(cudnnBackendGetAttribute)      \
  ENTRY(cudnnBackendExecute)

inline constexpr char kCudnnLibrary[] = "libcudnn.so.9";

struct CudnnEntries {
#define ALCHEMIST_CUDNN_MEMBER(entry) decltype(&::entry) entry = nullptr;
  ALCHEMIST_CUDNN_ENTRIES(ALCHEMIST_CUDNN_MEMBER)
#undef ALCHEMIST_CUDNN_MEMBER

  // OK, or the error of `call` on `what`: its name, and what cuDNN says of this thread's last
  // error. Unimplemented: cuDNN does not do that here. FailedPrecondition: parts of cuDNN that are
  // missing or do not belong together.
  absl::Status Check(cudnnStatus_t result, absl::string_view call,
                     absl::string_view what = "") const;
  std::string Version() const;  // "9.19.0".

  // NotFound: OpenCudaLibrary. FailedPrecondition: a library without one of the entries.
  static absl::StatusOr<std::unique_ptr<CudnnEntries>> Load(
      const std::vector<std::string>& directories);
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDNN_ENTRIES_H_
