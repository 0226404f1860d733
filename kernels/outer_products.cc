#include "kernels/outer_products.h"

#include <algorithm>

#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/outer_products_simd.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

// A tile of dst, and the rows that are packed at a time: 48 KiB of u and 36 KiB of x stay in the
// second-level cache, the 6 KiB of x that meet all of u in the first.
constexpr int64_t kTileRows = 128;
constexpr int64_t kTileColumns = 96;
constexpr int64_t kRowsAtOnce = 96;

// Copies `width` columns of x, widened, into blocks of kBlock columns,
// [blocks, rows, kBlock], the last block filled up with zeros. Dense blocks spare the inner loop
// the tails, and the cache the conflicts of rows that lie a power of two apart. Row after row,
// because that is how memory is read fastest.
template <int64_t kBlock, typename T>
void Pack(const T* __restrict x, int64_t stride, int64_t rows, int64_t width,
          float* __restrict packed) {
  for (int64_t t = 0; t < rows; ++t, x += stride, packed += kBlock) {
    float* __restrict to = packed;
    int64_t j = 0;
    for (; j + kBlock <= width; j += kBlock, to += rows * kBlock) {
      for (int64_t i = 0; i < kBlock; ++i) to[i] = ToF32(x[j + i]);
    }
    if (j == width) continue;
    for (int64_t i = 0; i < kBlock; ++i) to[i] = j + i < width ? ToF32(x[j + i]) : 0.0f;
  }
}

using AccumulateBlock = void(const float*, const float*, int64_t, float*, int64_t);

// Adds to a block of dst that may be cut off by dst's end: then by way of a whole one.
void AccumulateAtEdge(AccumulateBlock* accumulate, const float* u, const float* x, int64_t rows,
                      float* dst, int64_t stride, int64_t height, int64_t width) {
  if (height == kOuterRows && width == kOuterColumns) {
    accumulate(u, x, rows, dst, stride);
    return;
  }
  float block[kOuterRows * kOuterColumns] = {};
  for (int64_t i = 0; i < height; ++i) {
    std::copy_n(dst + i * stride, width, block + i * kOuterColumns);
  }
  accumulate(u, x, rows, block, kOuterColumns);
  for (int64_t i = 0; i < height; ++i) {
    std::copy_n(block + i * kOuterColumns, width, dst + i * stride);
  }
}

// dst[first_row + (0 .. height), first_column + (0 .. width)].
template <typename T>
void AccumulateTile(ConstTensorView u, ConstTensorView x, TensorView dst, int64_t first_row,
                    int64_t height, int64_t first_column, int64_t width) {
  thread_local Scratch<float> scratch;
  float* const u_packed = scratch.Get(kRowsAtOnce * (kTileRows + kTileColumns));
  float* const x_packed = u_packed + kRowsAtOnce * kTileRows;
  const auto accumulate = ALCHEMIST_SIMD_VERSION(CurrentSimdLevel(), AccumulateOuterBlock);
  for (int64_t t = 0; t < x.rows; t += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, x.rows - t);
    Pack<kOuterRows>(u.Row<float>(t) + first_row, u.width, rows, height, u_packed);
    Pack<kOuterColumns>(x.Row<T>(t) + first_column, x.width, rows, width, x_packed);
    for (int64_t j = 0; j < width; j += kOuterColumns) {
      for (int64_t i = 0; i < height; i += kOuterRows) {
        AccumulateAtEdge(accumulate, u_packed + i * rows, x_packed + j * rows, rows,
                         dst.Row<float>(first_row + i) + first_column + j, dst.width,
                         std::min(kOuterRows, height - i), std::min(kOuterColumns, width - j));
      }
    }
  }
}

}  // namespace

void AccumulateOuterProducts(ConstTensorView u, ConstTensorView x, TensorView dst, Stream& stream) {
  CheckShape("AccumulateOuterProducts u", u, x.rows, u.width, DType::kF32);
  CheckShape("AccumulateOuterProducts dst", dst, u.width, x.width, DType::kF32);
  DispatchDType("AccumulateOuterProducts", x.dtype, [&]<typename T>(T) {
    const int64_t tiles_down = (dst.rows + kTileRows - 1) / kTileRows;
    const int64_t tiles_across = (dst.width + kTileColumns - 1) / kTileColumns;
    stream.pool().ParallelFor(tiles_down * tiles_across, [&](int64_t i) {
      const int64_t first_row = i / tiles_across * kTileRows;
      const int64_t first_column = i % tiles_across * kTileColumns;
      AccumulateTile<T>(u, x, dst, first_row, std::min(kTileRows, dst.rows - first_row),
                        first_column, std::min(kTileColumns, dst.width - first_column));
    });
  });
}

}  // namespace alchemist
