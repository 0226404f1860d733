#include "activation_store/block.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace alchemist {
namespace {

int64_t RowsOf(const BlockRun& run, const BlockTensor& tensor) {
  return tensor.head_rows_only ? run.head_rows : run.rows;
}

int64_t PagesFor(const BlockTensor& tensor, const std::vector<BlockRun>& runs, int64_t page_bytes) {
  int64_t rows = 0;
  for (const BlockRun& run : runs) rows += RowsOf(run, tensor);
  return (rows * tensor.row_bytes + page_bytes - 1) / page_bytes;
}

}  // namespace

std::optional<Block> Block::Allocate(const std::vector<BlockTensor>& tensors,
                                     std::vector<BlockRun> runs, int64_t page_bytes,
                                     uint64_t generation, PagePool& pool) {
  Block block;
  block.tensors_ = &tensors;
  block.runs_ = std::move(runs);
  block.dropped_.assign(block.runs_.size(), false);
  block.page_bytes_ = page_bytes;
  block.generation_ = generation;
  block.runs_live_ = block.runs();
  for (const BlockTensor& tensor : tensors) {
    const int64_t pages = PagesFor(tensor, block.runs_, page_bytes);
    Placed placed;
    if (pages > 0) {
      const std::optional<PageRun> taken = pool.Allocate(pages);
      if (!taken.has_value()) {
        for (const Placed& before : block.placed_) {
          if (before.pages.count > 0) pool.Free(before.pages);
        }
        return std::nullopt;
      }
      placed.pages = *taken;
      placed.uses.assign(pages, 0);
      block.pages_held_ += pages;
    }
    block.placed_.push_back(std::move(placed));
  }
  for (int64_t run = 0; run < block.runs(); ++run) {
    for (size_t index = 0; index < tensors.size(); ++index) {
      const ByteRange bytes = block.BytesOf(run, static_cast<int64_t>(index));
      if (bytes.begin == bytes.end) continue;
      for (int64_t page = bytes.begin / page_bytes; page <= (bytes.end - 1) / page_bytes; ++page) {
        ++block.placed_[index].uses[page];
      }
    }
  }
  return block;
}

int64_t Block::PagesNeeded(const std::vector<BlockTensor>& tensors,
                           const std::vector<BlockRun>& runs, int64_t page_bytes) {
  int64_t pages = 0;
  for (const BlockTensor& tensor : tensors) pages += PagesFor(tensor, runs, page_bytes);
  return pages;
}

int64_t Block::PagesOf(int64_t run) const {
  int64_t pages = 0;
  for (size_t index = 0; index < tensors_->size(); ++index) {
    const ByteRange bytes = BytesOf(run, static_cast<int64_t>(index));
    if (bytes.begin == bytes.end) continue;
    pages += (bytes.end - 1) / page_bytes_ - bytes.begin / page_bytes_ + 1;
  }
  return pages;
}

std::optional<int64_t> Block::Offset(int64_t index) const {
  const Placed& placed = placed_[index];
  if (placed.pages.count == 0) return std::nullopt;
  return placed.pages.first * page_bytes_;
}

std::vector<PageRun> Block::page_runs() const {
  std::vector<PageRun> runs;
  for (const Placed& placed : placed_) {
    if (placed.pages.count > 0) runs.push_back(placed.pages);
  }
  return runs;
}

Block::ByteRange Block::BytesOf(int64_t run, int64_t index) const {
  const BlockTensor& tensor = (*tensors_)[index];
  int64_t first = 0;
  for (int64_t i = 0; i < run; ++i) first += RowsOf(runs_[i], tensor);
  return {first * tensor.row_bytes, (first + RowsOf(runs_[run], tensor)) * tensor.row_bytes};
}

RunDescriptor Block::Describe(int64_t run, int64_t layers, int64_t rows) const {
  const BlockRun& whole = runs_[run];
  return DescribeRows(run, layers, rows,
                      std::max<int64_t>(0, whole.head_rows - (whole.rows - rows)));
}

RunDescriptor Block::DescribePrefix(int64_t run, int64_t layers, int64_t rows) const {
  return DescribeRows(run, layers, rows, /*head_rows=*/0);
}

RunDescriptor Block::DescribeRows(int64_t run, int64_t layers, int64_t rows,
                                  int64_t head_rows) const {
  CHECK(!dropped_[run]) << "run " << run;
  const BlockRun& block_run = runs_[run];
  CHECK(rows > 0 && rows <= block_run.rows) << rows << " of " << block_run.rows;
  RunDescriptor descriptor;
  descriptor.first_position = block_run.first_position;
  descriptor.rows = rows;
  descriptor.layers.resize(layers);
  for (size_t index = 0; index < tensors_->size(); ++index) {
    const BlockTensor& tensor = (*tensors_)[index];
    const ByteRange bytes = BytesOf(run, static_cast<int64_t>(index));
    if (bytes.begin == bytes.end) continue;
    if (tensor.head_rows_only && head_rows == 0) continue;
    TensorSlot slot;
    slot.tensor = tensor.tensor;
    slot.residency = kOnDevice;
    slot.offset = *Offset(static_cast<int64_t>(index)) + bytes.begin;
    slot.generation = generation_;
    slot.rows = tensor.head_rows_only ? head_rows : rows;
    slot.bytes = slot.rows * tensor.row_bytes;
    slot.first_row = rows - slot.rows;
    descriptor.layers[tensor.layer].push_back(slot);
  }
  return descriptor;
}

void Block::DropRun(int64_t run, PagePool& pool) {
  CHECK(!dropped_[run]) << "run " << run << " dropped twice";
  dropped_[run] = true;
  --runs_live_;
  for (size_t index = 0; index < placed_.size(); ++index) {
    const ByteRange bytes = BytesOf(run, static_cast<int64_t>(index));
    if (bytes.begin == bytes.end) continue;
    Placed& placed = placed_[index];
    for (int64_t page = bytes.begin / page_bytes_; page <= (bytes.end - 1) / page_bytes_; ++page) {
      if (--placed.uses[page] > 0) continue;
      pool.Free({placed.pages.first + page, 1});
      --pages_held_;
    }
  }
}

}  // namespace alchemist
