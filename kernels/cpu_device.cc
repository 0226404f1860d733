#include "kernels/cpu_device.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kHugePageBytes = int64_t{2} << 20;

// Pages of the kernel's own, zeroed by it when whoever computes first touches them. Huge ones where
// it has them: with pages of 4 KiB, the faults of a step's activations cost a tenth of the step.
void* MapPages(int64_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  madvise(data, bytes, MADV_HUGEPAGE);  // Without them it is only slower.
  return data;
}

void* AllocateSmall(int64_t bytes) {
  void* data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (data != nullptr) std::memset(data, 0, bytes);
  return data;
}

bool IsLarge(int64_t bytes) { return bytes >= 2 * kHugePageBytes; }

}  // namespace

CpuDevice::~CpuDevice() { CHECK_EQ(bytes_allocated(), 0) << "a Buffer outlives its device"; }

absl::StatusOr<Buffer> CpuDevice::Allocate(int64_t bytes) {
  CHECK_GE(bytes, 0);
  if (bytes == 0) return Buffer();
  void* const data = IsLarge(bytes) ? MapPages(bytes) : AllocateSmall(bytes);
  if (data == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes"));
  }
  const int64_t allocated = bytes_allocated_.fetch_add(bytes) + bytes;
  int64_t peak = bytes_allocated_peak_.load();
  while (peak < allocated && !bytes_allocated_peak_.compare_exchange_weak(peak, allocated)) {
  }
  return Buffer(data, bytes, [this](void* data, int64_t bytes) { Free(data, bytes); });
}

void CpuDevice::Free(void* data, int64_t bytes) {
  if (IsLarge(bytes)) {
    munmap(data, bytes);
  } else {
    std::free(data);
  }
  bytes_allocated_.fetch_sub(bytes);
}

}  // namespace alchemist
