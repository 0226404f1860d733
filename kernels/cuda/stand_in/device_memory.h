// The stand-in's device memory: each piece is a memfd, so that it lives until the last descriptor
// and the last mapping of it are gone, in whatever process. How much is used, and by whom, is what
// /proc says of the processes of this machine (those of the same user): nobody keeps books that a
// kill -9 could make wrong. Any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_DEVICE_MEMORY_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_DEVICE_MEMORY_H_

#include <cstdint>
#include <map>
#include <optional>

#include "base/file.h"

namespace alchemist::stand_in {

// A descriptor of new memory of zeros, or an invalid one, and nothing kept, where the device hasn't
// so much.
FileDescriptor CreateMemory(uint64_t bytes);

// How large the memory of `fd` is; nullopt: it is not device memory.
std::optional<uint64_t> BytesOfMemory(int fd);

struct MemoryUsage {
  uint64_t bytes = 0;                        // Each piece once.
  std::map<int, uint64_t> bytes_by_process;  // All that it holds; by its id.
};
MemoryUsage ReadMemoryUsage();

}  // namespace alchemist::stand_in

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_DEVICE_MEMORY_H_
