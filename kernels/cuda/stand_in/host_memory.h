// Which host memory the stand-in's device copies to and from without a detour. Any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_HOST_MEMORY_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_HOST_MEMORY_H_

#include <cstdint>

namespace alchemist::stand_in {

// Whether all of it was allocated or registered as pinned.
bool IsPinned(const void* data, uint64_t bytes);

}  // namespace alchemist::stand_in

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_HOST_MEMORY_H_
