// The kernels of kernels/cuda, compiled for the CPU and found by their names. Any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_KERNELS_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_KERNELS_H_

#include "absl/strings/string_view.h"
#include "kernels/cuda/stand_in/work_queue.h"

namespace alchemist::stand_in {

struct Extent {
  unsigned int x = 1;
  unsigned int y = 1;
  unsigned int z = 1;
};

struct Kernel {
  const char* name;
  // One thread's work, with the arguments of which these are the addresses.
  Work (*bind)(void** arguments);
};

const Kernel* FindKernel(absl::string_view name);  // Null: there is none. Valid for ever.

// Does `thread` for all threads of all blocks, one after the other, each at its place.
void RunGrid(const Work& thread, const Extent& grid, const Extent& block);

}  // namespace alchemist::stand_in

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_KERNELS_H_
