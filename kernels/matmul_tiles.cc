#include "kernels/matmul_tiles.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/logging.h"
#include "kernels/bf16.h"
#include "kernels/onednn.h"
#include "kernels/scratch.h"
#include "kernels/short_product.h"

namespace alchemist {
namespace {

// Longer sums are made in parts, so that MatmulSelfTest can try every call that will be made
// without weights of the model's size.
constexpr int64_t kDepthMax = 4096;

// A tile of kTileRows is at most this many multiply-adds for each row: at 75 GFLOP/s 3.6 ms, so
// that it keeps the pool's promise of 5 ms. A tall one may be 4.5 ms.
constexpr int64_t kMultiplyAddsPerRowMax = 1 << 21;
constexpr int64_t kMultiplyAddsPerTileMax = int64_t{160} << 20;

// Products that tall tiles would not cut into several for each thread are cut lower.
constexpr int64_t kTilesPerThreadMin = 2;

// 192 columns keep a block of the right-hand matrix in the second-level cache while all slices of
// rows pass over it. An even number of blocks shares a single slice between two threads.
constexpr int64_t kColumnsMax = 192;
constexpr int64_t kColumnsWorthSharing = 128;
constexpr int64_t kColumnGranule = 16;

std::atomic<int64_t> f32_tile_rows = kTileRows;
std::atomic<int64_t> bf16_tile_rows = 0;

std::atomic<int64_t>& TileRowsOf(DType called) {
  CHECK(called == DType::kF32 || called == DType::kBf16) << DTypeName(called);
  return called == DType::kF32 ? f32_tile_rows : bf16_tile_rows;
}

ShortParts& MutableShortParts() {
  static auto* const parts = new ShortParts;
  return *parts;
}

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

// Elements from row to row of a call's part of the right-hand matrix: as stored, or widened.
int64_t PartStride(const ProductKind& kind, int64_t part_depth, int64_t part_columns) {
  if (kind.stored == kind.called) return kind.transposed ? kind.depth : kind.columns;
  return kind.transposed ? part_depth : part_columns;
}

OnednnMatmulShape CallShape(const ProductKind& kind, int64_t rows, int64_t part_depth,
                            int64_t part_columns) {
  return {.rows = rows,
          .depth = part_depth,
          .columns = part_columns,
          .a_stride = kind.depth,
          .b_stride = PartStride(kind, part_depth, part_columns),
          .b_transposed = kind.transposed,
          .dtype = kind.called};
}

// The rows that oneDNN is given next, of the `left` ones of a tile; may be more than are left.
int64_t SliceRows(int64_t left, int64_t tile_rows) {
  return left >= tile_rows ? tile_rows : left > 48 ? 64 : left > 32 ? 48 : 16;
}

// `slice` rows of type `dtype` for oneDNN: those of x, widened if need be, and zeros after them.
const void* SliceOf(ConstTensorView x, int64_t slice, DType dtype) {
  if (x.rows == slice && x.dtype == dtype) return x.data;
  thread_local Scratch<float> scratch;
  float* const rows = scratch.Get(slice * x.width);
  if (x.dtype == dtype) {
    std::memcpy(rows, x.data, x.bytes());
  } else {
    Widen(x.Row<Bf16>(0), x.rows * x.width, rows);
  }
  const int64_t row_bytes = x.width * BytesPerElement(dtype);
  std::memset(reinterpret_cast<std::byte*>(rows) + x.rows * row_bytes, 0,
              (slice - x.rows) * row_bytes);
  return rows;
}

// The block of columns of a right-hand matrix that a tile needs.
struct Block {
  const ProductKind& kind;
  const void* matrix;
  uint64_t id;  // Of the matrix in this call: another call's may lie at the same address.
  int64_t first_column;
  int64_t columns;
};

// A thread's copy of the last part of a block that it widened: most matrices are one part deep, so
// that it serves all slices of rows.
class WidenedPart {
 public:
  const float* Get(const Block& block, int64_t first, int64_t depth) {
    float* const part = scratch_.Get(depth * block.columns);
    if (matrix_id_ == block.id && first_column_ == block.first_column && first_ == first) {
      return part;
    }
    const auto* const matrix = static_cast<const Bf16*>(block.matrix);
    const ProductKind& kind = block.kind;
    if (kind.transposed) {
      WidenRows(matrix + block.first_column * kind.depth + first, kind.depth, block.columns, depth,
                part);
    } else {
      WidenRows(matrix + first * kind.columns + block.first_column, kind.columns, depth,
                block.columns, part);
    }
    matrix_id_ = block.id;
    first_column_ = block.first_column;
    first_ = first;
    return part;
  }

 private:
  Scratch<float> scratch_;
  uint64_t matrix_id_ = 0;  // None has it.
  int64_t first_column_ = 0;
  int64_t first_ = 0;
};

// The block from term `first` on, where it lies.
const void* StoredPart(const Block& block, int64_t first) {
  const ProductKind& kind = block.kind;
  const int64_t offset = kind.transposed ? block.first_column * kind.depth + first
                                         : first * kind.columns + block.first_column;
  return static_cast<const std::byte*>(block.matrix) + offset * BytesPerElement(kind.stored);
}

// The part [first, first + depth) of the block for a call, rows PartStride apart.
const void* PartOf(const Block& block, int64_t first, int64_t depth) {
  if (block.kind.stored == block.kind.called) return StoredPart(block, first);
  thread_local WidenedPart widened;
  return widened.Get(block, first, depth);
}

// The terms [first, first + depth) of the product of `rows` rows with the block. oneDNN is given
// `slice` rows, of which those after the first `count` are zeros; y has room for all.
void PartOfProduct(const void* rows, int64_t count, int64_t slice, const Block& block,
                   int64_t first, int64_t depth, float* y) {
  const ProductKind& kind = block.kind;
  const auto* const x = static_cast<const std::byte*>(rows) + first * BytesPerElement(kind.called);
  if (slice <= kShortRowsMax) {
    const ShortParts& parts = CurrentShortParts();
    const auto found = parts.find(CallShape(kind, kTileRows, depth, block.columns));
    if (found != parts.end()) {
      return ShortProduct({.x = x,
                           .x_type = kind.called,
                           .x_stride = kind.depth,
                           .w = StoredPart(block, first),
                           .w_type = kind.stored,
                           .w_stride = kind.depth,
                           .depth = depth},
                          found->second, {y, count, block.columns, DType::kF32});
    }
  }
  OnednnMatmul(CallShape(kind, slice, depth, block.columns), x, PartOf(block, first, depth), y);
}

// The product of x.rows <= slice rows with the block; parts of a long sum are added in order. Valid
// until the thread's next call.
TensorView SliceProduct(ConstTensorView x, int64_t slice, const Block& block) {
  thread_local Scratch<float> sums_scratch, part_scratch;
  const ProductKind& kind = block.kind;
  const void* const rows = SliceOf(x, slice, kind.called);
  const int64_t count = x.rows * block.columns;
  float* const sums = sums_scratch.Get(slice * block.columns);
  for (int64_t first = 0; first < kind.depth; first += kDepthMax) {
    const int64_t depth = std::min(kDepthMax, kind.depth - first);
    float* const part = first == 0 ? sums : part_scratch.Get(slice * block.columns);
    PartOfProduct(rows, x.rows, slice, block, first, depth, part);
    if (part == sums) continue;
    for (int64_t i = 0; i < count; ++i) sums[i] += part[i];
  }
  return {sums, x.rows, block.columns, DType::kF32};
}

// x b for a tile's rows, of which the first is `first_row`, and the block's columns.
void ProductOfTile(ConstTensorView x, int64_t product, int64_t first_row, int64_t tile_rows,
                   const Block& block, FinishTile finish) {
  for (int64_t first = 0; first < x.rows;) {
    const int64_t slice = SliceRows(x.rows - first, tile_rows);
    const int64_t count = std::min(slice, x.rows - first);
    const TensorView sums = SliceProduct(x.Rows(first, count), slice, block);
    finish({product, first_row + first, block.first_column, sums});
    first += count;
  }
}

// Any choice gives the same bits. `blocks` are all of the call's.
int64_t TileRowsFor(const ProductKind& kind, int64_t rows, int64_t columns, int64_t blocks,
                    int64_t threads) {
  const int64_t most = TileRows(kind.called);
  const int64_t tiles = (rows + most - 1) / most * blocks;
  const bool too_long = most * columns * kind.depth > kMultiplyAddsPerTileMax;
  return too_long || tiles < kTilesPerThreadMin * threads ? kTileRows : most;
}

// How a product is cut into tiles: blocks of columns, and within each tiles of rows.
struct Cut {
  ProductKind kind;
  uint64_t id = 0;      // Block's.
  int64_t columns = 0;  // Of a block.
  int64_t blocks = 0;
  int64_t tile_rows = 0;
  int64_t row_tiles = 0;
  int64_t first_tile = 0;  // Of the call's.
};

int64_t BlocksOf(const RightMatrix& b) {
  const int64_t columns = ColumnsPerTile(b.depth, b.columns);
  return (b.columns + columns - 1) / columns;
}

Cut CutOf(ConstTensorView x, const RightMatrix& b, int64_t first_tile, int64_t call_blocks,
          int64_t threads) {
  static std::atomic<uint64_t> ids = 0;
  const bool bf16_call = TileRows(DType::kBf16) > 0 && b.transposed && x.dtype == DType::kBf16 &&
                         b.dtype == DType::kBf16;
  Cut cut;
  cut.kind = {.depth = b.depth,
              .columns = b.columns,
              .transposed = b.transposed,
              .stored = b.dtype,
              .called = bf16_call ? DType::kBf16 : DType::kF32};
  cut.id = ids.fetch_add(1, std::memory_order_relaxed) + 1;
  cut.columns = ColumnsPerTile(b.depth, b.columns);
  cut.blocks = BlocksOf(b);
  cut.tile_rows = TileRowsFor(cut.kind, x.rows, cut.columns, call_blocks, threads);
  cut.row_tiles = (x.rows + cut.tile_rows - 1) / cut.tile_rows;
  cut.first_tile = first_tile;
  return cut;
}

}  // namespace

RightMatrix Plain(ConstTensorView w) {
  return {.data = w.data, .dtype = w.dtype, .depth = w.rows, .columns = w.width};
}

RightMatrix Transposed(ConstTensorView w) {
  return {
      .data = w.data, .dtype = w.dtype, .depth = w.width, .columns = w.rows, .transposed = true};
}

void Products(ConstTensorView x, absl::Span<const RightMatrix> b, FinishTile finish,
              Stream& stream) {
  if (x.rows == 0) return;
  int64_t blocks = 0;
  for (const RightMatrix& matrix : b) {
    CHECK(matrix.depth > 0 && matrix.columns > 0) << matrix.depth << " x " << matrix.columns;
    CHECK_EQ(matrix.depth, x.width);
    blocks += BlocksOf(matrix);
  }
  absl::InlinedVector<Cut, 4> cuts;
  int64_t tiles = 0;
  for (const RightMatrix& matrix : b) {
    cuts.push_back(CutOf(x, matrix, tiles, blocks, stream.pool().threads()));
    tiles += cuts.back().row_tiles * cuts.back().blocks;
  }
  // Tiles of rows within a block of columns: the block stays in cache.
  stream.pool().ParallelFor(tiles, [&](int64_t i) {
    size_t product = 0;
    while (product + 1 < cuts.size() && i >= cuts[product + 1].first_tile) ++product;
    const Cut& cut = cuts[product];
    const int64_t tile = i - cut.first_tile;
    const int64_t first_row = tile % cut.row_tiles * cut.tile_rows;
    const int64_t first_column = tile / cut.row_tiles * cut.columns;
    const int64_t rows = std::min(cut.tile_rows, x.rows - first_row);
    const Block block = {cut.kind, b[product].data, cut.id, first_column,
                         std::min(cut.columns, cut.kind.columns - first_column)};
    ProductOfTile(x.Rows(first_row, rows), static_cast<int64_t>(product), first_row, cut.tile_rows,
                  block, finish);
  });
}

void Product(ConstTensorView x, const RightMatrix& b, TensorView y, Accumulate accumulate,
             Stream& stream) {
  Products(
      x, {b}, [&](const ProductTile& tile) { MoveTile(tile, y, accumulate == Accumulate::kYes); },
      stream);
}

std::vector<OnednnMatmulShape> ProductCalls(const ProductKind& kind) {
  std::vector<OnednnMatmulShape> calls;
  for (int64_t depth : DistinctParts(kind.depth, kDepthMax)) {
    for (int64_t columns : DistinctParts(kind.columns, ColumnsPerTile(kind.depth, kind.columns))) {
      calls.push_back(CallShape(kind, kTileRows, depth, columns));
    }
  }
  return calls;
}

int64_t TileRows(DType called) { return TileRowsOf(called).load(std::memory_order_relaxed); }

void SetTileRows(DType called, int64_t rows) {
  CHECK(rows == kTileRows || rows == kTallTileRows || (rows == 0 && called == DType::kBf16));
  TileRowsOf(called).store(rows, std::memory_order_relaxed);
}

const ShortParts& CurrentShortParts() { return MutableShortParts(); }

void SetShortParts(ShortParts parts) { MutableShortParts() = std::move(parts); }

}  // namespace alchemist
