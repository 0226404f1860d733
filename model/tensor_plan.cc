#include "model/tensor_plan.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace alchemist {
namespace {

constexpr int64_t kAlignment = 64;

}  // namespace

void TensorPlan::Add(TensorView* view, DType dtype, int64_t rows, int64_t width) {
  *view = {nullptr, rows, width, dtype};
  if (view->bytes() == 0) return;
  entries_.push_back({view, offset_});
  offset_ += (view->bytes() + kAlignment - 1) / kAlignment * kAlignment;
  bytes_ = std::max(bytes_, offset_);
}

void TensorPlan::Overlay(std::initializer_list<absl::FunctionRef<void()>> sets) {
  const int64_t begin = offset_;
  int64_t end = begin;
  for (const absl::FunctionRef<void()>& add_set : sets) {
    offset_ = begin;
    add_set();
    end = std::max(end, offset_);
  }
  offset_ = end;
}

absl::StatusOr<Buffer> TensorPlan::Allocate(Device& device) {
  if (bytes_ == 0) return Buffer();
  ASSIGN_OR_RETURN(Buffer buffer, device.Allocate(bytes_));
  for (const Entry& entry : entries_) {
    entry.view->data = static_cast<std::byte*>(buffer.data()) + entry.offset;
  }
  return buffer;
}

}  // namespace alchemist
