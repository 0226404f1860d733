// ItemPool: the feedback the trainer still makes passes over, and the choice of the next batch
// among what is due: items without a pass first, in order of arrival, then those with the fewest
// passes that waited longest. Items marked `alone` are batches of their own. Owned by the trainer's
// loop.
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
  int64_t turn = 0;       // Of arrival, then of the last pass: who waited longest.
  int64_t passed_us = 0;  // When the last pass of this session was.
};

class ItemPool {
 public:
  // Adds an item; false, and no change, when one of its id is there. A correction takes the place
  // of ratings of its completion and of earlier corrections of its prompt that say something
  // else: two would pull the model to and fro. They are handed back in `superseded`.
  bool Add(PooledItem item, std::vector<PooledItem>* superseded);

  // What is due at `now_us`; at least one item when any is: a single one may exceed tokens_max.
  std::vector<PooledItem*> NextBatch(const BatchLimits& limits, int64_t now_us);
  // How many items are due, and their tokens.
  struct Due {
    int64_t items = 0;
    int64_t tokens = 0;
  };
  Due DueAt(const BatchLimits& limits, int64_t now_us) const;
  // The item made a pass: it goes to the back, and need not be alone any more.
  void Passed(PooledItem& item, int64_t now_us);
  void Remove(const std::string& item_id);

  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  std::map<std::string, std::unique_ptr<PooledItem>>& items() { return items_; }

 private:
  std::map<std::string, std::unique_ptr<PooledItem>> items_;  // By item id.
  int64_t next_turn_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_ITEM_POOL_H_
