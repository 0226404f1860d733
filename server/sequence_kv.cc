#include "server/sequence_kv.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/logging.h"

namespace alchemist {

int64_t SequenceKv::PagesNeeded(int64_t tokens_max) {
  return (tokens_max + kKvPageTokens - 1) / kKvPageTokens;
}

SequenceKv::SequenceKv(const KvGeometry& geometry, ActivationStore* store)
    : geometry_(geometry), store_(store), runs_(geometry.layers), rows_(geometry.layers) {}

SequenceKv::~SequenceKv() { Reset(); }

void SequenceKv::Reset() {
  for (const std::vector<KvPage>& layers : serving_) {
    for (const KvPage& page : layers) store_->FreeServingKvPage(page);
  }
  serving_.clear();
  spare_ = 0;
  runs_.assign(geometry_.layers, {});
  rows_.assign(geometry_.layers, {});
}

void SequenceKv::SetPage(int64_t index, int64_t layer, int64_t offset) {
  std::byte* k = store_->data() + offset;
  std::byte* v = k + kKvPageTokens * geometry_.kv_width * BytesPerElement(geometry_.dtype);
  const TensorView k_view = {k, kKvPageTokens, geometry_.kv_width, geometry_.dtype};
  const TensorView v_view = {v, kKvPageTokens, geometry_.kv_width, geometry_.dtype};
  std::vector<KvRows>& rows = rows_[layer];
  std::vector<KvRun>& runs = runs_[layer];
  if (index == static_cast<int64_t>(rows.size())) {
    rows.emplace_back();
    runs.emplace_back();
  }
  rows[index] = {k_view, v_view, index * kKvPageTokens};
  runs[index] = {k_view, v_view, index * kKvPageTokens};
}

void SequenceKv::UseRecord(uint64_t record_id, int64_t tokens) {
  CHECK(runs_[0].empty());
  for (int64_t page = 0; page < PagesNeeded(tokens); ++page) {
    for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
      SetPage(page, layer, store_->KvOffset(record_id, layer, page * kKvPageTokens));
    }
  }
}

bool SequenceKv::Reserve(int64_t tokens_max) {
  const int64_t record_pages = static_cast<int64_t>(runs_[0].size());
  // One page more than the positions ask for when the record's last page has to be copied.
  spare_ = record_pages > 0 ? 1 : 0;
  const int64_t needed = PagesNeeded(tokens_max) - record_pages + spare_;
  for (int64_t i = 0; i < needed; ++i) {
    std::vector<KvPage>& layers = serving_.emplace_back();
    for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
      const std::optional<KvPage> page = store_->AllocateServingKvPage();
      if (!page.has_value()) {
        Reset();
        return false;
      }
      layers.push_back(*page);
    }
  }
  for (int64_t i = spare_; i < needed; ++i) {
    for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
      SetPage(record_pages + i - spare_, layer, serving_[i][layer].offset);
    }
  }
  return true;
}

void SequenceKv::LeaveRecord(int64_t tokens) {
  const int64_t rows = tokens % kKvPageTokens;
  if (rows == 0) return;
  CHECK_EQ(spare_, 1);
  spare_ = 0;
  const int64_t page = tokens / kKvPageTokens;
  const int64_t bytes = rows * geometry_.kv_width * BytesPerElement(geometry_.dtype);
  for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
    const KvRun recorded = runs_[layer][page];
    SetPage(page, layer, serving_[0][layer].offset);
    std::memcpy(rows_[layer][page].k.data, recorded.k.data, bytes);
    std::memcpy(rows_[layer][page].v.data, recorded.v.data, bytes);
  }
}

std::vector<std::vector<KvRows>> SequenceKv::Rows(int64_t first, int64_t rows) const {
  std::vector<std::vector<KvRows>> result(geometry_.layers);
  for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
    for (int64_t position = first; position < first + rows;) {
      const KvRows& page = rows_[layer][position / kKvPageTokens];
      const int64_t row = position % kKvPageTokens;
      const int64_t count = std::min(kKvPageTokens - row, first + rows - position);
      result[layer].push_back({page.k.Rows(row, count), page.v.Rows(row, count), position});
      position += count;
    }
  }
  return result;
}

}  // namespace alchemist
