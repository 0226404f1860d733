// The one place that calls oneDNN. Any thread; work is done on the calling thread alone.
#ifndef ALCHEMIST_KERNELS_ONEDNN_H_
#define ALCHEMIST_KERNELS_ONEDNN_H_

#include <cstdint>
#include <string>
#include <utility>

#include "kernels/tensor_view.h"

namespace alchemist {

// c = a b, row-major, c dense, summed in f32. b is stored [depth, columns], or when `b_transposed`
// [columns, depth].
struct OnednnMatmulShape {
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t columns = 0;
  int64_t a_stride = 0;  // Elements from row to row, as stored.
  int64_t b_stride = 0;
  bool b_transposed = false;
  DType dtype = DType::kF32;  // Of a and b, f32 or bf16; c is f32.

  bool operator==(const OnednnMatmulShape&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const OnednnMatmulShape& shape) {
    return H::combine(std::move(h), shape.rows, shape.depth, shape.columns, shape.a_stride,
                      shape.b_stride, shape.b_transposed, shape.dtype);
  }
};

// Prepared calls are kept per thread and shape, so that a call costs about 1 us beside its
// arithmetic. REQUIRES: rows, depth, columns > 0; bf16 where OnednnPrefersBf16.
void OnednnMatmul(const OnednnMatmulShape& shape, const void* a, const void* b, float* c);

// Whether its bf16 products are faster than f32 ones: it may use AMX, or AVX-512 BF16 and
// HasFullRateBf16.
bool OnednnPrefersBf16();

std::string OnednnVersion();  // "2.6.3"

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ONEDNN_H_
