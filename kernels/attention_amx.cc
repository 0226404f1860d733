#include "kernels/attention_amx.h"

#include "kernels/amx_tiles.h"
#include "kernels/running_softmax.h"
#include "kernels/simd.h"
#include "kernels/transpose_lanes.h"

namespace alchemist::amx_bf16 {
namespace {

using avx512::IntVec;
using avx512::kLanes;
using avx512::Load;
using avx512::LoadBits;
using avx512::Store;
using avx512::StoreBits;

// Edge of the square that four tiles make.
constexpr int64_t kSquare = 2 * kTileRows;
static_assert(kSquare == kRowsAtOnce && kSquare == kKeysPerBlock);
static_assert(avx512_bf16::kHeadDimGranule % kSquare == 0);

// A matrix of bf16 by its bits.
struct Bits {
  const uint16_t* elements;
  int64_t stride;  // Elements from row to row, of b from pair to pair.
};

// c [32, 32] = a [32, 32 * steps] . b [16 * steps, 32, 2].
ALCHEMIST_INLINE void MultiplySquare(Bits a, Bits b, int64_t steps, float* c) {
  FinishStores();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    const uint16_t* const upper = a.elements + step * kTileElements;
    const uint16_t* const left = b.elements + step * kTileLanes * b.stride;
    _tile_loadd(4, upper, 2 * a.stride);
    _tile_loadd(6, left, 2 * b.stride);
    _tile_loadd(7, left + kTileElements, 2 * b.stride);
    _tile_loadd(5, upper + kTileRows * a.stride, 2 * a.stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, 4 * kSquare);
  _tile_stored(1, c + kTileLanes, 4 * kSquare);
  _tile_stored(2, c + kTileRows * kSquare, 4 * kSquare);
  _tile_stored(3, c + kTileRows * kSquare + kTileLanes, 4 * kSquare);
}

// Whether 0 times each of them is 0.
bool AllFinite(const uint16_t* bits, int64_t count) {
  constexpr int32_t kExponents = 0x7f807f80;
  IntVec infinite = {};
  for (int64_t i = 0; i < count; i += 2 * kLanes) {
    const IntVec exponents = LoadBits(bits + i) & kExponents;
    infinite |= ((exponents & 0x7f80) == 0x7f80) | ((exponents >> 16) == 0x7f80);
  }
  for (int64_t i = 0; i < kLanes; ++i) {
    if (infinite[i] != 0) return false;
  }
  return true;
}

void AddRow(const float* from, float* out) {
  for (int64_t i = 0; i < kSquare; i += kLanes) Store(out + i, Load(out + i) + Load(from + i));
}

// out += p [32, 32] . values, 32 columns at a time, for at most 32 row-heads. p is 0 for keys that
// a row-head does not see.
void AddValues(const avx512_bf16::KeyPairs& keys, const uint16_t* p, const ForwardRows& rows) {
  const int64_t width = keys.head_dim;
  alignas(64) float sums[kSquare * kSquare];
  for (int64_t column = 0; column < width; column += kSquare) {
    MultiplySquare({p, kKeysPerBlock}, {keys.v + 2 * column, 2 * width}, 1, sums);
    for (int64_t r = 0; r < rows.count; ++r) {
      AddRow(sums + r * kSquare, rows.out + r * width + column);
    }
  }
}

// 32 columns of the values, those of keys from `visible` on as zeros.
void CopyVisible(const avx512_bf16::KeyPairs& keys, int64_t column, int32_t visible,
                 uint16_t* seen) {
  for (int64_t key = 0; key < kKeysPerBlock; ++key) {
    const uint16_t* const of_pair = keys.v + 2 * (key / 2 * keys.head_dim + column);
    for (int64_t i = 0; i < kSquare; ++i) {
      seen[2 * (key / 2 * kSquare + i) + key % 2] = key < visible ? of_pair[2 * i + key % 2] : 0;
    }
  }
}

// The same sums where 0 times a value that is not seen is not 0.
void AddVisibleValues(const avx512_bf16::KeyPairs& keys, const uint16_t* p,
                      const ForwardRows& rows) {
  const int64_t width = keys.head_dim;
  alignas(64) float sums[kSquare * kSquare];
  alignas(64) uint16_t seen[kKeysPerBlock * kSquare];
  for (int64_t r = 0; r < rows.count; ++r) {
    for (int64_t column = 0; column < width; column += kSquare) {
      CopyVisible(keys, column, rows.visible[r], seen);
      MultiplySquare({p, kKeysPerBlock}, {seen, 2 * kSquare}, 1, sums);
      AddRow(sums + r * kSquare, rows.out + r * width + column);
    }
  }
}

// p [32, 32]: exp(score - max) of at most 32 row-heads, whose maxima, sums and outputs take it in.
void TakeKeys(const avx512_bf16::KeyPairs& keys, const uint16_t* q, const ForwardRows& rows,
              uint16_t* p) {
  const int64_t width = keys.head_dim;
  alignas(64) float scores[kRowsAtOnce * kKeysPerBlock];
  MultiplySquare({q, width}, {keys.k, 2 * kKeysPerBlock}, width / kTileElements, scores);
  for (int64_t r = 0; r < rows.count; ++r) {
    float* const of_row = scores + r * kKeysPerBlock;
    avx512::TakeScores(of_row, rows.visible[r], keys.scale, rows.max + r, rows.sum + r,
                       rows.out + r * width, width);
    const __m512bh rounded = _mm512_cvtne2ps_pbh(Load(of_row + kLanes), Load(of_row));
    StoreBits(p + r * kKeysPerBlock, (IntVec)rounded);
  }
}

}  // namespace

TileScope::TileScope() { SetUpTiles(); }

TileScope::~TileScope() { ReleaseTiles(); }

void AttentionForwardBlock(const avx512_bf16::KeyPairs& keys, const uint16_t* q,
                           const ForwardRows& all) {
  const int64_t width = keys.head_dim;
  // Row-heads see the more the later they are.
  const bool zeros_hide =
      all.visible[0] == kKeysPerBlock || AllFinite(keys.v, kKeysPerBlock * width);
  alignas(64) uint16_t p[kRowsAtOnce * kKeysPerBlock] = {};
  for (int64_t first = 0; first < all.count; first += kRowsAtOnce) {
    const ForwardRows rows = {
        .count = all.count - first < kRowsAtOnce ? all.count - first : kRowsAtOnce,
        .q = nullptr,
        .visible = all.visible + first,
        .max = all.max + first,
        .sum = all.sum + first,
        .out = all.out + first * width};
    TakeKeys(keys, q + first * width, rows, p);
    if (zeros_hide) {
      AddValues(keys, p, rows);
    } else {
      AddVisibleValues(keys, p, rows);
    }
  }
}

}  // namespace alchemist::amx_bf16
