#include "server/sequence_kv.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/logging.h"

namespace alchemist {

void CopyKvRows(const KvRun& from, int64_t first, int64_t rows, std::byte* to) {
  const int64_t row_bytes = from.k.width * BytesPerElement(from.k.dtype);
  const int64_t offset = first * row_bytes;
  std::byte* const v = to + kKvPageTokens * row_bytes;
  std::memcpy(to + offset, static_cast<const std::byte*>(from.k.data) + offset, rows * row_bytes);
  std::memcpy(v + offset, static_cast<const std::byte*>(from.v.data) + offset, rows * row_bytes);
}

SequenceKv::SequenceKv(const KvGeometry& geometry, ActivationStore* store)
    : geometry_(geometry), store_(store), runs_(geometry.layers), rows_(geometry.layers) {}

SequenceKv::~SequenceKv() { FreeServingPages(); }

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
  record_id_ = record_id;
  record_tokens_ = tokens;
  record_pages_ = KvPagesFor(tokens);
  SetRecordPages();
}

void SequenceKv::SetRecordPages() {
  if (record_id_ == 0) return;
  const std::vector<ActivationStore::KvPages> pages = store_->KvOf(record_id_, record_tokens_);
  for (size_t page = 0; page < pages.size(); ++page) {
    for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
      SetPage(static_cast<int64_t>(page), layer, (*pages[page].layers)[layer].offset);
    }
  }
}

void SequenceKv::SealRecord() {
  CHECK(serving_.empty() && record_tokens_ > 0);
  record_pages_ = record_tokens_ / kKvPageTokens;
  sealed_ = true;
}

int64_t SequenceKv::pages() const { return record_pages_ + serving_pages(); }

bool SequenceKv::Extend(int64_t tokens) {
  const int64_t before = pages();
  const int64_t count = KvPagesFor(tokens) - before;
  if (count <= 0) return true;
  std::vector<std::vector<KvPage>> taken(count);
  for (std::vector<KvPage>& layers : taken) {
    for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
      const std::optional<KvPage> page = store_->AllocateServingKvPage();
      if (!page.has_value()) {
        for (const auto& each : taken) {
          for (const KvPage& lent : each) store_->FreeServingKvPage(lent);
        }
        return false;
      }
      layers.push_back(*page);
    }
  }
  if (before * kKvPageTokens < record_tokens_) CopyRecordRows(before, taken[0]);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
      SetPage(before + i, layer, taken[i][layer].offset);
    }
    serving_.push_back(std::move(taken[i]));
  }
  return true;
}

// The rows that the record has in its `page`.
void SequenceKv::CopyRecordRows(int64_t page, const std::vector<KvPage>& to) {
  const int64_t rows = record_tokens_ - page * kKvPageTokens;
  for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
    CopyKvRows(runs_[layer][page], 0, rows, store_->data() + to[layer].offset);
  }
}

void SequenceKv::FreeServingPages() {
  for (const std::vector<KvPage>& layers : serving_) {
    for (const KvPage& page : layers) store_->FreeServingKvPage(page);
  }
  serving_.clear();
}

void SequenceKv::DropServingPages() {
  FreeServingPages();
  for (int64_t layer = 0; layer < geometry_.layers; ++layer) {
    runs_[layer].clear();
    rows_[layer].clear();
  }
  SetRecordPages();
}

std::vector<std::vector<KvRows>> SequenceKv::Rows(int64_t first, int64_t rows) const {
  CHECK(!sealed_ || first >= record_tokens_) << "row " << first << " is sealed";
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
