// ItemPool: the feedback the trainer still makes passes over, and the choice of the next batch:
// items without a pass first, in order of arrival, then those with the fewest passes that waited
// longest. Items marked `alone` are batches of their own. Owned by the trainer's loop.
#ifndef ALCHEMIST_TRAINER_ITEM_POOL_H_
#define ALCHEMIST_TRAINER_ITEM_POOL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "activation_store/record.h"
#include "trainer/batch_limits.h"
#include "trainer/training_item.h"
#include "trainer/training_step.h"

namespace alchemist {

// A prompt that an earlier pass of the item ran, and what it was run with.
struct KeptPrompt {
  OwnPrompt own;
  std::shared_ptr<const LoraAdapter> adapter;
  double path = 0;  // Drift::path() then.
};

struct PooledItem {
  TrainingItem item;
  std::optional<RecordDescriptor> lease;  // A served record, until it is used or given back.
  std::optional<KeptPrompt> kept;
  bool alone = false;  // It was in a batch whose gradient was not finite: is it the culprit?
  int64_t passes = 0;
  int64_t turn = 0;  // Of arrival, then of the last pass: who waited longest.
};

class ItemPool {
 public:
  // Adds an item; false, and no change, when one of its id is there. A correction takes the place
  // of a rating of the same completion, which is handed back in `superseded`.
  bool Add(PooledItem item, std::optional<PooledItem>* superseded);

  // At least one item when the pool has any: a single one may exceed tokens_max.
  std::vector<PooledItem*> NextBatch(const BatchLimits& limits);
  // The item made a pass: it goes to the back, and need not be alone any more.
  void Passed(PooledItem& item);
  void Remove(const std::string& item_id);

  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  int64_t tokens() const;  // Of all items.
  std::map<std::string, std::unique_ptr<PooledItem>>& items() { return items_; }

 private:
  std::map<std::string, std::unique_ptr<PooledItem>> items_;  // By item id.
  int64_t next_turn_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_ITEM_POOL_H_
