#include "kernels/matmul_tiles.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/logging.h"
#include "kernels/onednn.h"
#include "kernels/scratch.h"

namespace alchemist {
namespace {

// Longer sums are made in parts, so that MatmulSelfTest can try every call that will be made
// without weights of the model's size.
constexpr int64_t kDepthMax = 4096;

// A tile is at most this many multiply-adds for each of its rows: at 64 rows and 75 GFLOP/s 3.6 ms,
// so that it keeps the pool's promise of 5 ms.
constexpr int64_t kMultiplyAddsPerRowMax = 1 << 21;

// 192 columns keep a block of the right-hand matrix in the second-level cache while all slices of
// rows pass over it. An even number of blocks shares a single slice between two threads.
constexpr int64_t kColumnsMax = 192;
constexpr int64_t kColumnsWorthSharing = 128;
constexpr int64_t kColumnGranule = 16;

std::atomic<RowCounts> row_counts = RowCounts::kPadded;

int64_t RoundUp(int64_t value, int64_t granule) {
  return (value + granule - 1) / granule * granule;
}

int64_t ColumnsPerTile(int64_t depth, int64_t columns) {
  const int64_t most = std::clamp(kMultiplyAddsPerRowMax / depth / kColumnGranule * kColumnGranule,
                                  kColumnGranule, kColumnsMax);
  int64_t blocks = (columns + most - 1) / most;
  if (columns >= kColumnsWorthSharing) blocks = RoundUp(blocks, 2);
  return RoundUp((columns + blocks - 1) / blocks, kColumnGranule);
}

// The first and the last of the parts of `size` that [0, total) is cut into; all others are like
// the first.
std::vector<int64_t> DistinctParts(int64_t total, int64_t size) {
  if (total <= size) return {total};
  if (total % size == 0) return {size};
  return {size, total % size};
}

OnednnMatmulShape CallShape(int64_t rows, int64_t part_depth, int64_t part_columns, int64_t depth,
                            int64_t columns, bool transposed, bool in_place) {
  return {.rows = rows,
          .depth = part_depth,
          .columns = part_columns,
          .a_stride = depth,
          .b_stride = transposed ? depth : columns,
          .c_stride = in_place ? columns : part_columns,
          .b_transposed = transposed};
}

// The rows that oneDNN is given next, of `left`; may be more than are left.
int64_t SliceRows(int64_t left) {
  if (CurrentRowCounts() == RowCounts::kAny) return std::min(left, kTileRows);
  return left > 48 ? 64 : left > 32 ? 48 : 16;
}

// Rows of x followed by zeros: [slice, depth].
const float* PadRows(ConstTensorView x, int64_t slice) {
  thread_local Scratch<float> scratch;
  float* const padded = scratch.Get(kTileRows * x.width);
  std::memcpy(padded, x.data, x.bytes());
  std::fill(padded + x.rows * x.width, padded + slice * x.width, 0.0f);
  return padded;
}

void MoveRows(const float* from, int64_t columns, int64_t first_column, TensorView y, bool add) {
  for (int64_t t = 0; t < y.rows; ++t, from += columns) {
    float* const to = y.Row<float>(t) + first_column;
    if (add) {
      for (int64_t j = 0; j < columns; ++j) to[j] += from[j];
    } else {
      std::memcpy(to, from, columns * sizeof(float));
    }
  }
}

// ProductTile for x.rows <= slice rows, of which oneDNN is given `slice`.
void ProductSlice(ConstTensorView x, int64_t slice, const RightMatrix& b, int64_t first_column,
                  int64_t columns, TensorView y, bool add) {
  thread_local Scratch<float> scratch;
  const bool whole = x.rows == slice;
  const float* const rows = whole ? x.Row<float>(0) : PadRows(x, slice);
  for (int64_t first = 0; first < b.depth; first += kDepthMax) {
    const bool in_place = whole && !add;
    float* const product =
        in_place ? y.Row<float>(0) + first_column : scratch.Get(kTileRows * columns);
    const int64_t b_offset =
        b.transposed ? first_column * b.depth + first : first * b.columns + first_column;
    OnednnMatmul(CallShape(slice, std::min(kDepthMax, b.depth - first), columns, b.depth, b.columns,
                           b.transposed, in_place),
                 rows + first, b.data + b_offset, product);
    if (!in_place) MoveRows(product, columns, first_column, y, add);
    add = true;
  }
}

// y (+)= x b for at most kTileRows rows and some columns.
void ProductTile(ConstTensorView x, const RightMatrix& b, int64_t first_column, int64_t columns,
                 TensorView y, bool add) {
  for (int64_t first = 0; first < x.rows;) {
    const int64_t slice = SliceRows(x.rows - first);
    const int64_t count = std::min(slice, x.rows - first);
    ProductSlice(x.Rows(first, count), slice, b, first_column, columns, y.Rows(first, count), add);
    first += count;
  }
}

}  // namespace

RightMatrix Plain(ConstTensorView w) {
  return {.data = static_cast<const float*>(w.data), .depth = w.rows, .columns = w.width};
}

RightMatrix Transposed(ConstTensorView w) {
  return {.data = static_cast<const float*>(w.data),
          .depth = w.width,
          .columns = w.rows,
          .transposed = true};
}

void Product(ConstTensorView x, const RightMatrix& b, TensorView y, Accumulate accumulate,
             Stream& stream) {
  if (x.rows == 0 || b.columns == 0) return;
  CHECK_GT(b.depth, 0);
  const int64_t columns = ColumnsPerTile(b.depth, b.columns);
  const int64_t blocks = (b.columns + columns - 1) / columns;
  const int64_t slices = (x.rows + kTileRows - 1) / kTileRows;
  // Slices of rows within a block of columns: the block stays in cache.
  stream.pool().ParallelFor(slices * blocks, [&](int64_t i) {
    const int64_t first_row = i % slices * kTileRows;
    const int64_t first_column = i / slices * columns;
    const int64_t rows = std::min(kTileRows, x.rows - first_row);
    ProductTile(x.Rows(first_row, rows), b, first_column,
                std::min(columns, b.columns - first_column), y.Rows(first_row, rows),
                accumulate == Accumulate::kYes);
  });
}

std::vector<OnednnMatmulShape> ProductCalls(int64_t depth, int64_t columns, bool transposed) {
  std::vector<OnednnMatmulShape> calls;
  for (int64_t part_depth : DistinctParts(depth, kDepthMax)) {
    for (int64_t part_columns : DistinctParts(columns, ColumnsPerTile(depth, columns))) {
      calls.push_back(
          CallShape(kTileRows, part_depth, part_columns, depth, columns, transposed, true));
    }
  }
  return calls;
}

RowCounts CurrentRowCounts() { return row_counts.load(std::memory_order_relaxed); }

void SetRowCounts(RowCounts counts) { row_counts.store(counts, std::memory_order_relaxed); }

}  // namespace alchemist
