// Entry points of memory that two processes share: handles, address ranges and what is mapped
// there.
#include <fcntl.h>
#include <sys/mman.h>

#include <map>
#include <utility>

#include "base/file.h"
#include "base/mutex.h"
#include "cuda.h"
#include "kernels/cuda/stand_in/device_memory.h"
#include "kernels/cuda/stand_in/settings.h"
#include "kernels/cuda/stand_in/stand_in.h"

namespace alchemist::stand_in {
namespace {

constexpr uint64_t kGranularityBytes = 2 << 20;
using BytesByAddress = std::map<CUdeviceptr, uint64_t>;

struct Books {
  Mutex mutex;  // Any thread may map.
  CUmemGenericAllocationHandle next_handle ABSL_GUARDED_BY(mutex) = 1;
  std::map<CUmemGenericAllocationHandle, FileDescriptor> handles ABSL_GUARDED_BY(mutex);
  BytesByAddress ranges ABSL_GUARDED_BY(mutex);    // Reserved.
  BytesByAddress mappings ABSL_GUARDED_BY(mutex);  // In them.
};

Books& TheBooks() {
  static Books& books = *new Books;
  return books;
}

void* Pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

CUmemGenericAllocationHandle AddHandle(Books& books, FileDescriptor memory)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(books.mutex) {
  books.handles.emplace(books.next_handle, std::move(memory));
  return books.next_handle++;
}

// Whether one of `spaces` holds all of it.
bool IsWithin(const BytesByAddress& spaces, CUdeviceptr address, uint64_t bytes) {
  auto after = spaces.upper_bound(address);
  if (after == spaces.begin()) return false;
  const auto& [begin, space_bytes] = *std::prev(after);
  return address + bytes <= begin + space_bytes;
}

// How much of it is mapped.
uint64_t BytesMapped(const BytesByAddress& mappings, CUdeviceptr address, uint64_t bytes) {
  uint64_t mapped = 0;
  const auto end = mappings.lower_bound(address + bytes);
  for (auto it = mappings.lower_bound(address); it != end; ++it) mapped += it->second;
  return mapped;
}

bool IsSize(uint64_t bytes) { return bytes > 0 && bytes % kGranularityBytes == 0; }

}  // namespace
}  // namespace alchemist::stand_in

using namespace alchemist;            // NOLINT: entry points stand outside of all namespaces.
using namespace alchemist::stand_in;  // NOLINT

CUresult cuMemGetAllocationGranularity(size_t* granularity, const CUmemAllocationProp* properties,
                                       CUmemAllocationGranularity_flags /*option*/) {
  STAND_IN_ENTER(cuMemGetAllocationGranularity, kNoFault);
  if (properties->location.id >= DeviceCount()) return CUDA_ERROR_INVALID_DEVICE;
  *granularity = kGranularityBytes;
  return CUDA_SUCCESS;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                     const CUmemAllocationProp* properties, unsigned long long /*flags*/) {
  STAND_IN_ENTER(cuMemCreate, kNoFault);
  if (properties->location.id >= DeviceCount()) return CUDA_ERROR_INVALID_DEVICE;
  if (!IsSize(bytes)) return CUDA_ERROR_INVALID_VALUE;
  FileDescriptor memory = CreateMemory(bytes);
  if (!memory.valid()) return CUDA_ERROR_OUT_OF_MEMORY;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  *handle = AddHandle(books, std::move(memory));
  return CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void* shareable, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType type,
                                      unsigned long long /*flags*/) {
  STAND_IN_ENTER(cuMemExportToShareableHandle, kNoFault);
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  const auto memory = books.handles.find(handle);
  if (memory == books.handles.end()) return CUDA_ERROR_INVALID_VALUE;
  const int fd = fcntl(memory->second.get(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(shareable) = fd;
  return CUDA_SUCCESS;
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* shareable,
                                        CUmemAllocationHandleType type) {
  STAND_IN_ENTER(cuMemImportFromShareableHandle, kNoFault);
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  const int fd = static_cast<int>(reinterpret_cast<intptr_t>(shareable));
  if (!BytesOfMemory(fd).has_value()) return CUDA_ERROR_INVALID_VALUE;
  FileDescriptor memory(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!memory.valid()) return CUDA_ERROR_OPERATING_SYSTEM;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  *handle = AddHandle(books, std::move(memory));
  return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  STAND_IN_ENTER(cuMemRelease, kNoFault);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  return books.handles.erase(handle) == 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAddressReserve(CUdeviceptr* address, size_t bytes, size_t /*alignment*/,
                             CUdeviceptr /*wanted*/, unsigned long long /*flags*/) {
  STAND_IN_ENTER(cuMemAddressReserve, kNoFault);
  if (!IsSize(bytes)) return CUDA_ERROR_INVALID_VALUE;
  void* const range =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = reinterpret_cast<CUdeviceptr>(range);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  books.ranges[*address] = bytes;
  return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t bytes) {
  STAND_IN_ENTER(cuMemAddressFree, kNoFault);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  const auto range = books.ranges.find(address);
  if (range == books.ranges.end() || range->second != bytes ||
      BytesMapped(books.mappings, address, bytes) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  books.ranges.erase(range);
  return munmap(Pointer(address), bytes) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

// No access until cuMemSetAccess gives it.
CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long /*flags*/) {
  STAND_IN_ENTER(cuMemMap, kNoFault);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  const auto memory = books.handles.find(handle);
  if (memory == books.handles.end() || !IsSize(bytes) || offset % kGranularityBytes != 0 ||
      offset + bytes > BytesOfMemory(memory->second.get()).value_or(0) ||
      !IsWithin(books.ranges, address, bytes) || BytesMapped(books.mappings, address, bytes) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (mmap(Pointer(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, memory->second.get(),
           static_cast<off_t>(offset)) == MAP_FAILED) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  books.mappings[address] = bytes;
  return CUDA_SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr address, size_t bytes) {
  STAND_IN_ENTER(cuMemUnmap, kNoFault);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  if (bytes == 0 || BytesMapped(books.mappings, address, bytes) != bytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  books.mappings.erase(books.mappings.lower_bound(address),
                       books.mappings.lower_bound(address + bytes));
  const void* const unmapped = mmap(Pointer(address), bytes, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return unmapped == MAP_FAILED ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t bytes, const CUmemAccessDesc* descriptions,
                        size_t count) {
  STAND_IN_ENTER(cuMemSetAccess, kNoFault);
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  if (count != 1 || bytes == 0 || BytesMapped(books.mappings, address, bytes) != bytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  int protection = PROT_NONE;
  if (descriptions->flags == CU_MEM_ACCESS_FLAGS_PROT_READ) protection = PROT_READ;
  if (descriptions->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
    protection = PROT_READ | PROT_WRITE;
  }
  return mprotect(Pointer(address), bytes, protection) == 0 ? CUDA_SUCCESS
                                                            : CUDA_ERROR_INVALID_VALUE;
}
