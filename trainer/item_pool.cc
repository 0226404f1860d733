#include "trainer/item_pool.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace alchemist {

namespace {

bool Supersedes(const TrainingItem& correction, const TrainingItem& earlier) {
  if (!earlier.is_correction) return earlier.completion_id == correction.completion_id;
  return earlier.prompt_tokens == correction.prompt_tokens &&
         earlier.response_tokens != correction.response_tokens;
}

}  // namespace

bool ItemPool::Add(PooledItem item, std::vector<PooledItem>* superseded) {
  if (items_.contains(item.item.item_id)) return false;
  for (auto it = items_.begin(); item.item.is_correction && it != items_.end();) {
    if (Supersedes(item.item, it->second->item)) {
      superseded->push_back(std::move(*it->second));
      it = items_.erase(it);
    } else {
      ++it;
    }
  }
  item.turn = next_turn_++;
  const std::string id = item.item.item_id;
  items_[id] = std::make_unique<PooledItem>(std::move(item));
  return true;
}

std::vector<PooledItem*> ItemPool::NextBatch(const BatchLimits& limits, int64_t now_us) {
  std::vector<PooledItem*> order;
  for (const auto& [id, item] : items_) {
    if (PassIsDue(limits, item->passes, now_us - item->passed_us)) order.push_back(item.get());
  }
  std::sort(order.begin(), order.end(), [](const PooledItem* a, const PooledItem* b) {
    return std::tie(a->passes, a->turn) < std::tie(b->passes, b->turn);
  });
  std::vector<PooledItem*> batch;
  int64_t tokens = 0;
  for (PooledItem* item : order) {
    if (item->alone) {
      if (batch.empty()) return {item};
      continue;
    }
    tokens += item->item.tokens();
    const bool full = static_cast<int64_t>(batch.size()) == limits.items_max;
    if (!batch.empty() && (full || tokens > limits.tokens_max)) break;
    batch.push_back(item);
  }
  return batch;
}

ItemPool::Due ItemPool::DueAt(const BatchLimits& limits, int64_t now_us) const {
  Due due;
  for (const auto& [id, item] : items_) {
    if (!PassIsDue(limits, item->passes, now_us - item->passed_us)) continue;
    ++due.items;
    due.tokens += item->item.tokens();
  }
  return due;
}

void ItemPool::Passed(PooledItem& item, int64_t now_us) {
  ++item.passes;
  item.alone = false;
  item.turn = next_turn_++;
  item.passed_us = now_us;
}

void ItemPool::Remove(const std::string& item_id) { items_.erase(item_id); }

}  // namespace alchemist
