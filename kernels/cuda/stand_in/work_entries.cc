// Entry points of what runs in a stream: copies, fills and kernels.
#include <cstddef>
#include <cstring>
#include <vector>

#include "cuda.h"
#include "kernels/cuda/stand_in/host_memory.h"
#include "kernels/cuda/stand_in/kernels.h"
#include "kernels/cuda/stand_in/stand_in.h"
#include "kernels/cuda/stand_in/stream.h"

struct CUmod_st {};  // All modules have all kernels.

namespace alchemist::stand_in {
namespace {

constexpr unsigned int kThreadsMax = 1024;  // Of a block.
constexpr unsigned int kBlocksMax = 65535;  // In y and z.

void* Pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

bool IsCapturing(CUstream stream) { return StreamOrDefault(stream)->captured.has_value(); }

void QueueCopy(void* to, const void* from, size_t bytes, CUstream stream) {
  Queue(stream, [=] { std::memcpy(to, from, bytes); });
}

}  // namespace
}  // namespace alchemist::stand_in

using namespace alchemist::stand_in;  // NOLINT: entry points stand outside of all namespaces.

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  STAND_IN_ENTER(cuMemcpyHtoDAsync, kContext);
  if (IsPinned(from, bytes) || IsCapturing(stream)) {
    QueueCopy(Pointer(to), from, bytes, stream);
    return CUDA_SUCCESS;
  }
  const auto* const begin = static_cast<const std::byte*>(from);
  Queue(stream, [to, aside = std::vector<std::byte>(begin, begin + bytes)] {
    std::memcpy(Pointer(to), aside.data(), aside.size());
  });
  return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  STAND_IN_ENTER(cuMemcpyDtoHAsync, kContext);
  QueueCopy(to, Pointer(from), bytes, stream);
  return IsPinned(to, bytes) || IsCapturing(stream) ? CUDA_SUCCESS : Synchronize(stream);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  STAND_IN_ENTER(cuMemcpyDtoDAsync, kContext);
  QueueCopy(Pointer(to), Pointer(from), bytes, stream);
  return CUDA_SUCCESS;
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  STAND_IN_ENTER(cuMemsetD8Async, kContext);
  Queue(stream, [=] { std::memset(Pointer(to), value, bytes); });
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  STAND_IN_ENTER(cuModuleLoadData, kContext);
  if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *module = new CUmod_st;
  return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module) {
  STAND_IN_ENTER(cuModuleUnload, kContext);
  delete module;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule /*module*/, const char* name) {
  STAND_IN_ENTER(cuModuleGetFunction, kContext);
  const Kernel* const kernel = FindKernel(name);
  if (kernel == nullptr) return CUDA_ERROR_NOT_FOUND;
  *function = reinterpret_cast<CUfunction>(const_cast<Kernel*>(kernel));
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int blocks_x, unsigned int blocks_y,
                        unsigned int blocks_z, unsigned int threads_x, unsigned int threads_y,
                        unsigned int threads_z, unsigned int /*shared_bytes*/, CUstream stream,
                        void** arguments, void** /*extra*/) {
  STAND_IN_ENTER(cuLaunchKernel, kContext);
  const uint64_t threads = uint64_t{threads_x} * threads_y * threads_z;
  if (blocks_x == 0 || blocks_y == 0 || blocks_z == 0 || blocks_y > kBlocksMax ||
      blocks_z > kBlocksMax || threads == 0 || threads > kThreadsMax) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const auto* const kernel = reinterpret_cast<const Kernel*>(function);
  const Extent grid = {blocks_x, blocks_y, blocks_z};
  const Extent block = {threads_x, threads_y, threads_z};
  Queue(stream, [=, thread = kernel->bind(arguments)] { RunGrid(thread, grid, block); });
  return CUDA_SUCCESS;
}
