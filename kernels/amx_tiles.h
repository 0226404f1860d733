// Tile registers, for kernels that are compiled for AMX. In a product of tiles the CPU sums the
// products of the pairs' first elements and of their second ones apart, over 32 elements, and then
// adds both to what was there.
#ifndef ALCHEMIST_KERNELS_AMX_TILES_H_
#define ALCHEMIST_KERNELS_AMX_TILES_H_

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd.h"

namespace alchemist::amx_bf16 {

// Rows of a tile; its 64 bytes as f32 or pairs of bf16, and as elements of bf16.
constexpr int64_t kTileRows = 16;
constexpr int64_t kTileLanes = 16;
constexpr int64_t kTileElements = 2 * kTileLanes;

// As LDTILECFG reads it: eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);

// Before and after a thread's use of tiles. A library that uses them, too (oneDNN), must not be
// called between.
ALCHEMIST_INLINE void SetUpTiles() {
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
}
ALCHEMIST_INLINE void ReleaseTiles() { _tile_release(); }

// GCC 12 does not know that tile loads read memory: what was stored must be there before them.
ALCHEMIST_INLINE void FinishStores() { __asm__ volatile("" ::: "memory"); }

}  // namespace alchemist::amx_bf16

#endif  // ALCHEMIST_KERNELS_AMX_TILES_H_
