// How ops cut rows into tiles for the worker pool.
#ifndef ALCHEMIST_KERNELS_ROW_TILES_H_
#define ALCHEMIST_KERNELS_ROW_TILES_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "kernels/stream.h"

namespace alchemist {

// Calls tile(first, count) for adjacent tiles that cover [0, rows), on the stream's pool. A tile
// has about `elements_per_tile` elements: some tens of microseconds of element-wise work, enough to
// pay for claiming it and far below the 5 ms for which a tile may hold up a yield. The cut depends
// on the sizes only, never on the thread count.
inline constexpr int64_t kElementsPerTile = 32768;
void ForEachRowTile(Stream& stream, int64_t rows, int64_t elements_per_row,
                    absl::FunctionRef<void(int64_t first, int64_t count)> tile,
                    int64_t elements_per_tile = kElementsPerTile);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROW_TILES_H_
