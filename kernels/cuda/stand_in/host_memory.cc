#include "kernels/cuda/stand_in/host_memory.h"

#include <sys/mman.h>

#include <iterator>
#include <map>

#include "base/mutex.h"
#include "cuda.h"
#include "kernels/cuda/stand_in/stand_in.h"

namespace alchemist::stand_in {
namespace {

struct Range {
  uint64_t bytes = 0;
  bool registered = false;
};

struct Books {
  Mutex mutex;  // Any thread may pin.
  std::map<uintptr_t, Range> ranges ABSL_GUARDED_BY(mutex);
};

Books& TheBooks() {
  static Books& books = *new Books;
  return books;
}

uintptr_t Address(const void* data) { return reinterpret_cast<uintptr_t>(data); }

bool Overlaps(const std::map<uintptr_t, Range>& ranges, uintptr_t begin, uint64_t bytes) {
  auto after = ranges.lower_bound(begin + bytes);
  if (after == ranges.begin()) return false;
  const auto& [range_begin, range] = *std::prev(after);
  return range_begin + range.bytes > begin;
}

// Takes the range that begins at `data` off the books: how large it was; 0 if there is none such.
uint64_t Remove(const void* data, bool registered) {
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  const auto found = books.ranges.find(Address(data));
  if (found == books.ranges.end() || found->second.registered != registered) return 0;
  const uint64_t bytes = found->second.bytes;
  books.ranges.erase(found);
  return bytes;
}

}  // namespace

bool IsPinned(const void* data, uint64_t bytes) {
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  auto after = books.ranges.upper_bound(Address(data));
  if (after == books.ranges.begin()) return false;
  const auto& [begin, range] = *std::prev(after);
  return Address(data) + bytes <= begin + range.bytes;
}

}  // namespace alchemist::stand_in

using namespace alchemist;            // NOLINT: entry points stand outside of all namespaces.
using namespace alchemist::stand_in;  // NOLINT

CUresult cuMemHostAlloc(void** data, size_t bytes, unsigned int /*flags*/) {
  STAND_IN_ENTER(cuMemHostAlloc, kContext);
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  books.ranges[Address(memory)] = {bytes, false};
  *data = memory;
  return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void* data) {
  STAND_IN_ENTER(cuMemFreeHost, kContext);
  const uint64_t bytes = Remove(data, false);
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  return munmap(data, bytes) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

CUresult cuMemHostRegister(void* data, size_t bytes, unsigned int /*flags*/) {
  STAND_IN_ENTER(cuMemHostRegister, kContext);
  if (data == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  Books& books = TheBooks();
  MutexLock lock(&books.mutex);
  if (Overlaps(books.ranges, Address(data), bytes)) {
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  books.ranges[Address(data)] = {bytes, true};
  return CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void* data) {
  STAND_IN_ENTER(cuMemHostUnregister, kContext);
  return Remove(data, true) == 0 ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : CUDA_SUCCESS;
}
