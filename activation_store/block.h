// Block: what one engine step wrote for all layers. Each recorded tensor is dense, row-major, and
// starts on a page of its own; runs are the rows of one record in it. A page is free again when the
// last run that touches it is dropped. Owned by ActivationStore, on its thread.
#ifndef ALCHEMIST_ACTIVATION_STORE_BLOCK_H_
#define ALCHEMIST_ACTIVATION_STORE_BLOCK_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "activation_store/record.h"
#include "kernels/page_pool.h"

namespace alchemist {

// One recorded tensor of one layer, as the model's layout names it.
struct BlockTensor {
  int64_t layer = 0;
  uint32_t tensor = 0;
  int64_t row_bytes = 0;
  bool head_rows_only = false;
};

// Rows of one record in a block, in the block's row order.
struct BlockRun {
  uint64_t record_id = 0;
  int64_t first_position = 0;
  int64_t rows = 0;
  int64_t head_rows = 0;  // The last ones of `rows`.
};

class Block {
 public:
  // Takes pages from `pool` for all tensors over all runs, or none (nullopt). `tensors` must
  // outlive the block. Pages get `generation`.
  static std::optional<Block> Allocate(const std::vector<BlockTensor>& tensors,
                                       std::vector<BlockRun> runs, int64_t page_bytes,
                                       uint64_t generation, PagePool& pool);

  // How many pages Allocate takes for them.
  static int64_t PagesNeeded(const std::vector<BlockTensor>& tensors,
                             const std::vector<BlockRun>& runs, int64_t page_bytes);

  // Byte offset in the arena of tensor `index`'s first row; nullopt when it has no rows here.
  std::optional<int64_t> Offset(int64_t index) const;
  std::vector<PageRun> page_runs() const;  // As allocated, for the generation table.
  int64_t runs() const { return static_cast<int64_t>(runs_.size()); }
  int64_t runs_live() const { return runs_live_; }
  int64_t pages_held() const { return pages_held_; }
  int64_t PagesOf(int64_t run) const;  // That it touches, some of them perhaps not alone.

  // Where the first `rows` rows of a run lie. REQUIRES: 0 < rows <= the run's.
  RunDescriptor Describe(int64_t run, int64_t layers, int64_t rows) const;
  // The same as another record's prefix: without head rows, since the next token is that record's
  // own affair.
  RunDescriptor DescribePrefix(int64_t run, int64_t layers, int64_t rows) const;
  const BlockRun& run(int64_t run) const { return runs_[run]; }
  // Gives back the pages that no other run touches. REQUIRES: not dropped before.
  void DropRun(int64_t run, PagePool& pool);

 private:
  struct Placed {
    PageRun pages;              // count 0: no rows.
    std::vector<int32_t> uses;  // Per page: live runs that touch it.
  };
  struct ByteRange {
    int64_t begin = 0;
    int64_t end = 0;
  };
  Block() = default;
  RunDescriptor DescribeRows(int64_t run, int64_t layers, int64_t rows, int64_t head_rows) const;
  // The bytes of `run` in tensor `index`, counted from the tensor's first row.
  ByteRange BytesOf(int64_t run, int64_t index) const;

  const std::vector<BlockTensor>* tensors_ = nullptr;
  std::vector<BlockRun> runs_;
  std::vector<bool> dropped_;
  std::vector<Placed> placed_;  // By tensor.
  int64_t page_bytes_ = 0;
  uint64_t generation_ = 0;
  int64_t runs_live_ = 0;
  int64_t pages_held_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_BLOCK_H_
