#include "kernels/cpu_device.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kAlignment = 64;

}  // namespace

CpuDevice::~CpuDevice() { CHECK_EQ(bytes_allocated(), 0) << "a Buffer outlives its device"; }

absl::StatusOr<Buffer> CpuDevice::Allocate(int64_t bytes) {
  CHECK_GE(bytes, 0);
  if (bytes == 0) return Buffer();
  void* data = nullptr;
  if (bytes <= std::numeric_limits<int64_t>::max() - kAlignment) {
    data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  }
  if (data == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes"));
  }
  std::memset(data, 0, bytes);
  const int64_t allocated = bytes_allocated_.fetch_add(bytes) + bytes;
  int64_t peak = bytes_allocated_peak_.load();
  while (peak < allocated && !bytes_allocated_peak_.compare_exchange_weak(peak, allocated)) {
  }
  return Buffer(data, bytes, [this](void* data, int64_t bytes) { Free(data, bytes); });
}

void CpuDevice::Free(void* data, int64_t bytes) {
  std::free(data);
  bytes_allocated_.fetch_sub(bytes);
}

}  // namespace alchemist
