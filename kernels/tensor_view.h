// TensorView: a dense row-major matrix in somebody else's memory. Plain values; they own nothing.
#ifndef ALCHEMIST_KERNELS_TENSOR_VIEW_H_
#define ALCHEMIST_KERNELS_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>

#include "base/logging.h"

namespace alchemist {

enum class DType : uint8_t { kF32 = 0, kBf16 = 1, kF16 = 2 };

constexpr int64_t BytesPerElement(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }
const char* DTypeName(DType dtype);  // "f32", "bf16", "f16".

// The element type that T stands for; only types with a specialisation can be viewed.
template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType kValue = DType::kF32;
};

// [rows, width], read only. REQUIRES of every accessor: indices are in range, T is the dtype.
struct ConstTensorView {
  const void* data = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  DType dtype = DType::kF32;

  int64_t bytes() const { return rows * width * BytesPerElement(dtype); }
  template <typename T>
  const T* Row(int64_t row) const {
    DCHECK(dtype == DTypeOf<T>::kValue);
    DCHECK(row >= 0 && row < rows) << row << " of " << rows;
    return static_cast<const T*>(data) + row * width;
  }
  ConstTensorView Rows(int64_t first, int64_t count) const {
    DCHECK(first >= 0 && count >= 0 && first + count <= rows) << first << "+" << count;
    return {static_cast<const std::byte*>(data) + first * width * BytesPerElement(dtype), count,
            width, dtype};
  }
};

// [rows, width], writable.
struct TensorView {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  DType dtype = DType::kF32;

  operator ConstTensorView() const {
    return {data, rows, width, dtype};
  }  // NOLINT: a view is a view.
  int64_t bytes() const { return rows * width * BytesPerElement(dtype); }
  template <typename T>
  T* Row(int64_t row) const {
    DCHECK(dtype == DTypeOf<T>::kValue);
    DCHECK(row >= 0 && row < rows) << row << " of " << rows;
    return static_cast<T*>(data) + row * width;
  }
  TensorView Rows(int64_t first, int64_t count) const {
    DCHECK(first >= 0 && count >= 0 && first + count <= rows) << first << "+" << count;
    return {static_cast<std::byte*>(data) + first * width * BytesPerElement(dtype), count, width,
            dtype};
  }
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_TENSOR_VIEW_H_
