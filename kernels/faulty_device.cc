#include "kernels/faulty_device.h"

#include "absl/strings/str_cat.h"

namespace alchemist {

absl::StatusOr<Buffer> FaultyDevice::Allocate(int64_t bytes) {
  const int64_t call = allocations_.fetch_add(1) + 1;
  if (call == fail_at_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", bytes, " bytes: allocation ", call, " fails on purpose"));
  }
  return device_->Allocate(bytes);
}

}  // namespace alchemist
