// x W^T for a few rows of x, by W as it lies: the loops of ShortProduct (short_product.h), for CPUs
// with AVX-512.
#ifndef ALCHEMIST_KERNELS_SHORT_PRODUCT_SIMD_H_
#define ALCHEMIST_KERNELS_SHORT_PRODUCT_SIMD_H_

#include <cstdint>

namespace alchemist {

inline constexpr int64_t kShortRowsMax = 64;
inline constexpr int64_t kShortOutputsGranule = 16;
inline constexpr int64_t kShortDepthGranule = 32;

// bf16 by its bits.
template <typename X, typename Weight>
struct ShortProductArguments {
  const X* x;  // [rows, x_stride], of which the first `depth` columns
  int64_t rows;
  int64_t x_stride;
  const Weight* w;  // [outputs, w_stride], the same
  int64_t w_stride;
  int64_t outputs;  // A multiple of kShortOutputsGranule.
  int64_t depth;    // A multiple of kShortDepthGranule, as is
  int64_t part;     // the number of terms that are summed by themselves.
  float* y;         // [rows, outputs]
};

namespace avx512 {
void ShortProduct(const ShortProductArguments<float, float>& a);
void ShortProduct(const ShortProductArguments<float, uint16_t>& a);
}  // namespace avx512

namespace avx512_bf16 {
void ShortProduct(const ShortProductArguments<uint16_t, uint16_t>& a);
}  // namespace avx512_bf16

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SHORT_PRODUCT_SIMD_H_
