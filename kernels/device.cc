#include "kernels/device.h"

#include <utility>

#include "base/logging.h"

namespace alchemist {

Buffer::Buffer(void* data, int64_t bytes, std::function<void(void*, int64_t)> free)
    : data_(data), bytes_(bytes), free_(std::move(free)) {}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      free_(std::exchange(other.free_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  Buffer moved(std::move(other));
  std::swap(data_, moved.data_);
  std::swap(bytes_, moved.bytes_);
  std::swap(free_, moved.free_);
  return *this;
}

Buffer::~Buffer() {
  if (free_) free_(data_, bytes_);
}

TensorView Buffer::View(DType dtype, int64_t rows, int64_t width) const {
  CHECK(rows >= 0 && width >= 0) << rows << " x " << width;
  const TensorView view = {data_, rows, width, dtype};
  CHECK_LE(view.bytes(), bytes_) << rows << " x " << width << " " << DTypeName(dtype);
  return view;
}

}  // namespace alchemist
