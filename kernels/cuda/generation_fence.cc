#include "kernels/cuda/generation_fence.h"

#include <array>

extern "C" const unsigned char generation_fence_image[];

namespace alchemist {
namespace {

constexpr uint32_t kThreads = 256;

}  // namespace

absl::StatusOr<GenerationFence> GenerationFence::Load(const CudaDevice* device) {
  GenerationFence fence;
  ASSIGN_OR_RETURN(fence.module_, CudaModule::Load(device, generation_fence_image));
  ASSIGN_OR_RETURN(fence.kernel_, fence.module_.Kernel("generation_fence"));
  return fence;
}

absl::Status GenerationFence::Check(uint64_t generations, uint64_t pages, uint64_t expected,
                                    uint32_t count, uint64_t poison, CudaStream& stream) {
  if (count == 0) return absl::OkStatus();
  const std::array<void*, 5> arguments = {&generations, &pages, &expected, &count, &poison};
  return stream.Launch(kernel_, {(count + kThreads - 1) / kThreads, 1, kThreads}, arguments);
}

}  // namespace alchemist
