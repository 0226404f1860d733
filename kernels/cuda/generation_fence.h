// GenerationFence: the second line behind leases, on the device. The owner of an arena counts up a
// page's generation before the first byte of new content; a reader's stream checks the generations
// of all pages that it reads before its first use and after its last one, and any difference
// poisons the step, which the optimizer then skips. No host waits for it. One thread at a time,
// with the device bound.
#ifndef ALCHEMIST_KERNELS_CUDA_GENERATION_FENCE_H_
#define ALCHEMIST_KERNELS_CUDA_GENERATION_FENCE_H_

#include <cstdint>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_module.h"
#include "kernels/cuda/cuda_stream.h"

namespace alchemist {

class GenerationFence {
 public:
  static absl::StatusOr<GenerationFence> Load(const CudaDevice* device);

  // Sets the word at `poison` to 1 unless generations[pages[i]] == expected[i] for all i < count.
  // All are device addresses: generations [pages of the arena] u64, pages [count] u32, expected
  // [count] u64, poison u32.
  absl::Status Check(uint64_t generations, uint64_t pages, uint64_t expected, uint32_t count,
                     uint64_t poison, CudaStream& stream);

 private:
  CudaModule module_;
  CUfunc_st* kernel_ = nullptr;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_GENERATION_FENCE_H_
