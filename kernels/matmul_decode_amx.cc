// The version of matmul_decode_simd.h's loops for CPUs that multiply tiles of bf16 (AMX).
#include "kernels/amx_tiles.h"
#include "kernels/matmul_decode_adapter.h"
#include "kernels/matmul_decode_simd.h"
#include "kernels/simd.h"
#include "kernels/transpose_lanes.h"

namespace alchemist::amx_bf16 {
namespace {

using avx512::AddRest;
using avx512::AddWholeVectors;
using avx512::IntVec;
using avx512::Load;
using avx512::LoadBits;
using avx512::Quad;
using avx512::ReduceAddFour;
using avx512::Store;
using avx512::StoreBits;
using avx512::UnalignedQuad;
using avx512::Vec;

static_assert(kDecodeTileRows == kTileRows && kDecodeTileDepth == kTileElements &&
              kDecodeTileOutputs == kTileRows);

// Elements of the tiles that a row group's pairs are for each element of the depth.
constexpr int64_t kPairElements = kTileRows;

// sums [16 outputs, 16 rows] = w [16, depth] . pairs. With `ask` the weights of the next 16 outputs
// are asked for: a tile's rows lie apart, which the CPU does not foresee.
ALCHEMIST_INLINE void MultiplyOutputs(const uint16_t* w, int64_t depth, const uint16_t* pairs,
                                      bool ask, float* sums) {
  const uint16_t* const next = w + kTileRows * depth;
  FinishStores();
  _tile_zero(0);
  for (int64_t k = 0; k < depth; k += kTileElements) {
    for (int64_t i = 0; ask && i < kTileRows; ++i) {
      __builtin_prefetch(next + i * depth + k, /*write=*/0, /*locality: the second level=*/2);
    }
    _tile_loadd(1, w + k, 2 * depth);
    _tile_loadd(2, pairs + k * kPairElements, 4 * kTileLanes);
    _tile_dpbf16ps(0, 1, 2);
  }
  _tile_stored(0, sums, 4 * kTileLanes);
}

// Adds what a row's adapter adds to 16 outputs from `output`.
ALCHEMIST_INLINE void AddAdapter(const DecodeRowAdapter& adapter, int64_t output, float* y) {
  for (int64_t n = 0; n < kTileRows; n += 4) {
    Vec sums[4] = {};
    AddWholeVectors(adapter, output + n, sums);
    auto* const four = reinterpret_cast<UnalignedQuad*>(y + n);
    *four = *four + ReduceAddFour(sums);
    AddRest<4>(adapter, output + n, y + n);
  }
}

// y of at most 16 rows from `row`, from their sums with 16 outputs from `n`.
ALCHEMIST_INLINE void StoreOutputs(const DecodeArguments<uint16_t, uint16_t>& a, int64_t row,
                                   int64_t rows, int64_t n, const float* sums) {
  IntVec first_row;
  for (int32_t i = 0; i < kTileRows; ++i) first_row[i] = i * kTileLanes;
  for (int64_t t = 0; t < rows; ++t) {
    float* const y = a.y + (row + t) * a.y_stride + n;
    Store(y, _mm512_mask_i32gather_ps(Vec{}, 0xffff, (__m512i)first_row, sums + t, sizeof(float)));
    const DecodeRowAdapter& adapter = a.adapters[row + t];
    if (adapter.rank > 0) AddAdapter(adapter, a.first_output + n, y);
  }
}

// All rows with 16 rows of W, which stay in the second-level cache.
ALCHEMIST_INLINE void Outputs(const DecodeArguments<uint16_t, uint16_t>& a, int64_t n) {
  alignas(64) float sums[kTileRows * kTileLanes];
  for (int64_t row = 0; row < a.rows; row += kTileRows) {
    const int64_t rows = a.rows - row < kTileRows ? a.rows - row : kTileRows;
    MultiplyOutputs(a.w + n * a.depth, a.depth, a.x + row * a.depth, row == 0, sums);
    StoreOutputs(a, row, rows, n, sums);
  }
}

}  // namespace

void PairDecodeRows(const uint16_t* x, int64_t rows, int64_t depth, uint16_t* pairs) {
  for (int64_t row = 0; row < rows; row += kTileRows) {
    for (int64_t k = 0; k < depth; k += kTileElements) {
      IntVec lanes[kTileRows] = {};
      for (int64_t i = 0; i < kTileRows && row + i < rows; ++i) {
        lanes[i] = LoadBits(x + (row + i) * depth + k);
      }
      avx512::Transpose(lanes);
      for (int64_t i = 0; i < kTileRows; ++i) {
        StoreBits(pairs + row * depth + k * kPairElements + i * kTileElements, lanes[i]);
      }
    }
  }
}

void DecodeRowsBf16(const DecodeArguments<uint16_t, uint16_t>& a) {
  SetUpTiles();
  for (int64_t n = 0; n < a.outputs; n += kTileRows) Outputs(a, n);
  ReleaseTiles();
}

}  // namespace alchemist::amx_bf16
