// RevisionCache: published revisions, loaded from the server's folder and kept by digest while
// records made by them can still be used. Owned by the trainer's loop.
#ifndef ALCHEMIST_TRAINER_REVISION_CACHE_H_
#define ALCHEMIST_TRAINER_REVISION_CACHE_H_

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "model/lora_adapter.h"
#include "trainer/training_item.h"

namespace alchemist {

class RevisionCache {
 public:
  RevisionCache(std::string revisions_dir, const ModelConfig* model)
      : revisions_dir_(std::move(revisions_dir)), model_(model) {}

  // <dir>/<adapter_id>/<number>; DataLoss when its digest is not the named one.
  absl::StatusOr<std::shared_ptr<const LoraAdapter>> Get(const RevisionName& revision);
  void Add(const RevisionName& revision, std::shared_ptr<const LoraAdapter> adapter) {
    adapters_[revision.digest] = std::move(adapter);
  }
  // Drops what nobody else holds and is not in `wanted` (by digest).
  template <typename Map>
  void KeepOnly(const Map& wanted) {
    std::erase_if(adapters_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  }

 private:
  const std::string revisions_dir_;
  const ModelConfig* const model_;
  std::map<std::string, std::shared_ptr<const LoraAdapter>> adapters_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_REVISION_CACHE_H_
