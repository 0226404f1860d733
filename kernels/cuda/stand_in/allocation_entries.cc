// Entry points of memory that one process allocates, and of the legacy way to share it: the handle
// says in which process, and under which descriptor there, the memory is open.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/mutex.h"
#include "cuda.h"
#include "kernels/cuda/stand_in/device_memory.h"
#include "kernels/cuda/stand_in/settings.h"
#include "kernels/cuda/stand_in/stand_in.h"
#include "kernels/cuda/stand_in/work_queue.h"

namespace alchemist::stand_in {
namespace {

constexpr uint64_t kPageBytes = 4096;

struct Allocation {
  FileDescriptor memory;  // None: it is another process's, and only mapped here.
  uint64_t bytes = 0;
};

struct Books {
  Mutex mutex;  // Any thread may allocate.
  std::map<CUdeviceptr, Allocation> allocations ABSL_GUARDED_BY(mutex);
};

Books& TheBooks() {
  static Books& books = *new Books;
  return books;
}

struct HandleContent {
  int process = 0;
  int fd = -1;
  uint64_t bytes = 0;
};
static_assert(sizeof(HandleContent) <= sizeof(CUipcMemHandle));

CUresult MapWhole(int fd, uint64_t bytes, CUdeviceptr* address) {
  void* const data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = reinterpret_cast<CUdeviceptr>(data);
  return CUDA_SUCCESS;
}

// After everything that may still use it.
CUresult Unmap(CUdeviceptr address, bool is_own) {
  WorkQueue::WaitForAll();
  if (ContextFault() != CUDA_SUCCESS) return ContextFault();
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  const auto found = books.allocations.find(address);
  if (found == books.allocations.end() || found->second.memory.valid() != is_own) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const int unmapped = munmap(reinterpret_cast<void*>(address), found->second.bytes);
  books.allocations.erase(found);
  return unmapped == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

}  // namespace
}  // namespace alchemist::stand_in

using namespace alchemist;            // NOLINT: entry points stand outside of all namespaces.
using namespace alchemist::stand_in;  // NOLINT

CUresult cuMemGetInfo(size_t* free, size_t* total) {
  STAND_IN_ENTER(cuMemGetInfo, kContext);
  *total = MemoryBytes();
  const uint64_t used = ReadMemoryUsage().bytes;
  *free = used < *total ? *total - used : 0;
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr* address, size_t bytes) {
  STAND_IN_ENTER(cuMemAlloc, kContext);
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  Allocation allocation;
  allocation.bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  allocation.memory = CreateMemory(allocation.bytes);
  if (!allocation.memory.valid()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult mapped = MapWhole(allocation.memory.get(), allocation.bytes, address);
  if (mapped != CUDA_SUCCESS) return mapped;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  books.allocations.emplace(*address, std::move(allocation));
  return CUDA_SUCCESS;
}

CUresult cuMemFree(CUdeviceptr address) {
  STAND_IN_ENTER(cuMemFree, kContext);
  return Unmap(address, true);
}

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr address) {
  STAND_IN_ENTER(cuIpcGetMemHandle, kContext);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  const auto found = books.allocations.find(address);
  if (found == books.allocations.end() || !found->second.memory.valid()) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const HandleContent content = {getpid(), found->second.memory.get(), found->second.bytes};
  *handle = {};
  std::memcpy(handle->reserved, &content, sizeof(content));
  return CUDA_SUCCESS;
}

CUresult cuIpcOpenMemHandle(CUdeviceptr* address, CUipcMemHandle handle, unsigned int /*flags*/) {
  STAND_IN_ENTER(cuIpcOpenMemHandle, kContext);
  HandleContent content;
  std::memcpy(&content, handle.reserved, sizeof(content));
  if (content.process == getpid()) return CUDA_ERROR_INVALID_CONTEXT;  // As a GPU has it.
  const std::string path = absl::StrCat("/proc/", content.process, "/fd/", content.fd);
  const FileDescriptor memory(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!memory.valid() || BytesOfMemory(memory.get()) != content.bytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUresult mapped = MapWhole(memory.get(), content.bytes, address);
  if (mapped != CUDA_SUCCESS) return mapped;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  books.allocations.emplace(*address, Allocation{FileDescriptor(), content.bytes});
  return CUDA_SUCCESS;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr address) {
  STAND_IN_ENTER(cuIpcCloseMemHandle, kContext);
  return Unmap(address, false);
}
