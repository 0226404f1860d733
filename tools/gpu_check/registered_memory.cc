#include "tools/gpu_check/registered_memory.h"

#include <sys/mman.h>

#include <utility>

#include "base/clock.h"
#include "base/file.h"

namespace alchemist {

absl::StatusOr<RegisteredMemory> RegisteredMemory::Create(const CudaDevice* device, int fd,
                                                          int64_t bytes, CudaAccess access) {
  const int protection = access == CudaAccess::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const data = mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return ErrnoStatus("mmap", "memfd");
  RegisteredMemory memory(data, bytes);
  const int64_t start_us = Clock::Real()->MonotonicUs();
  ASSIGN_OR_RETURN(memory.pinned_, CudaHostMemory::Register(device, data, bytes, access));
  memory.register_us_ = Clock::Real()->MonotonicUs() - start_us;
  return memory;
}

RegisteredMemory::RegisteredMemory(RegisteredMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(other.bytes_),
      register_us_(other.register_us_),
      pinned_(std::move(other.pinned_)) {}

RegisteredMemory::~RegisteredMemory() {
  pinned_ = CudaHostMemory();
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace alchemist
