// OpenCudaLibrary: where NVIDIA's libraries beside the driver (cuBLASLt, cuDNN) are looked for at
// run time. Nothing links them, so that a binary with the CUDA backend starts without them. What is
// opened is never closed; any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_LIBRARY_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_LIBRARY_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace alchemist {

struct CudaLibrary {
  void* handle = nullptr;  // For dlsym.
  std::string path;        // As it was found.
};

// Opens `soname` from the first place that has it: `directories`, then where the dynamic loader
// looks by itself, then the toolkit's lib64 and lib under /usr/local/cuda. NotFound, naming every
// path that was tried and why the loader refused it, when none has.
absl::StatusOr<CudaLibrary> OpenCudaLibrary(const std::string& soname,
                                            const std::vector<std::string>& directories);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_LIBRARY_H_
