#include "trainer/revision_cache.h"

#include "absl/strings/str_cat.h"

namespace alchemist {

absl::StatusOr<std::shared_ptr<const LoraAdapter>> RevisionCache::Get(
    const RevisionName& revision) {
  const auto it = adapters_.find(revision.digest);
  if (it != adapters_.end()) return it->second;
  if (revision.adapter_id.empty() || revision.adapter_id[0] == '.' ||
      revision.adapter_id.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("adapter_id: '", revision.adapter_id, "'"));
  }
  const std::string directory =
      absl::StrCat(revisions_dir_, "/", revision.adapter_id, "/", revision.number);
  ASSIGN_OR_RETURN(std::shared_ptr<const LoraAdapter> adapter,
                   LoraAdapter::Load(directory, *model_));
  if (adapter->digest() != revision.digest) {
    return absl::DataLossError(
        absl::StrCat(directory, ": digest ", adapter->digest(), ", named as ", revision.digest));
  }
  adapters_[revision.digest] = adapter;
  return adapter;
}

}  // namespace alchemist
