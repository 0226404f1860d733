#include "kernels/reusing_device.h"

#include <utility>

#include "base/logging.h"

namespace alchemist {

ReusingDevice::~ReusingDevice() {
  const MutexLock lock(&mutex_);
  CHECK(lent_.empty()) << lent_.size() << " Buffers outlive their device";
}

absl::StatusOr<Buffer> ReusingDevice::Allocate(int64_t bytes) {
  if (bytes == 0) return Buffer();
  Buffer block = TakeFitting(bytes);
  if (block.data() == nullptr) {
    TakeOutgrown(bytes);
    absl::StatusOr<Buffer> fresh = device_->Allocate(bytes);
    if (!fresh.ok()) {
      GiveBack();
      fresh = device_->Allocate(bytes);
    }
    ASSIGN_OR_RETURN(block, std::move(fresh));
  }
  void* const data = block.data();
  const MutexLock lock(&mutex_);
  lent_.emplace(data, std::move(block));
  return Buffer(data, bytes, [this](void* data, int64_t) { Keep(data); });
}

Buffer ReusingDevice::TakeFitting(int64_t bytes) {
  const MutexLock lock(&mutex_);
  const auto block = kept_.lower_bound(bytes);
  if (block == kept_.end() || block->first / 2 >= bytes) return Buffer();
  return std::move(kept_.extract(block).mapped());
}

Buffer ReusingDevice::TakeOutgrown(int64_t bytes) {
  const MutexLock lock(&mutex_);
  auto block = kept_.lower_bound(bytes);
  if (block == kept_.begin()) return Buffer();
  return std::move(kept_.extract(--block).mapped());
}

void ReusingDevice::Keep(void* data) {
  const MutexLock lock(&mutex_);
  auto block = lent_.extract(data);
  CHECK(!block.empty());
  const int64_t bytes = block.mapped().bytes();
  kept_.emplace(bytes, std::move(block.mapped()));
}

void ReusingDevice::GiveBack() {
  std::multimap<int64_t, Buffer> kept;
  const MutexLock lock(&mutex_);
  kept.swap(kept_);
}

}  // namespace alchemist
