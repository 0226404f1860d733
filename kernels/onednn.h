// The one place that calls oneDNN. Any thread; work is done on the calling thread alone.
#ifndef ALCHEMIST_KERNELS_ONEDNN_H_
#define ALCHEMIST_KERNELS_ONEDNN_H_

#include <cstdint>
#include <string>
#include <utility>

namespace alchemist {

// c = a b, row-major, f32. b is stored [depth, columns], or when `b_transposed` [columns, depth].
struct OnednnMatmulShape {
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t columns = 0;
  int64_t a_stride = 0;  // Elements from row to row, as stored.
  int64_t b_stride = 0;
  int64_t c_stride = 0;
  bool b_transposed = false;

  bool operator==(const OnednnMatmulShape&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const OnednnMatmulShape& shape) {
    return H::combine(std::move(h), shape.rows, shape.depth, shape.columns, shape.a_stride,
                      shape.b_stride, shape.c_stride, shape.b_transposed);
  }
};

// Prepared calls are kept per thread and shape, so that a call costs about 1 us beside its
// arithmetic. REQUIRES: rows, depth, columns > 0.
void OnednnMatmul(const OnednnMatmulShape& shape, const float* a, const float* b, float* c);

std::string OnednnVersion();  // "2.6.3"

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ONEDNN_H_
