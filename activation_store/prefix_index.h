// PrefixIndex: which record holds which prefix. A prefix is looked up in hash blocks of 64 tokens;
// the hash of a block chains that of the block before it, and the first one chains what made the
// record: tenant, base, tokenizer, adapter, revision. So equal hashes are equal prefixes that the
// same weights made for the same tenant, and nobody can name a prefix that he does not have. Owned
// by ActivationStore, on its thread.
#ifndef ALCHEMIST_ACTIVATION_STORE_PREFIX_INDEX_H_
#define ALCHEMIST_ACTIVATION_STORE_PREFIX_INDEX_H_

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/types/span.h"
#include "activation_store/record.h"

namespace alchemist {

inline constexpr int64_t kHashBlockTokens = 64;

// SHA-256 of each whole hash block of `tokens`, in hex. Pure.
std::vector<std::string> HashBlocks(const RecordIdentity& identity,
                                    absl::Span<const int32_t> tokens);

// The first `tokens` tokens of a record's chain; `record_id` 0: none.
struct Prefix {
  uint64_t record_id = 0;
  int64_t tokens = 0;
};

class PrefixIndex {
 public:
  // The record holds what `hashes` end, beside its parents, which hold what comes before.
  void Add(uint64_t record_id, const std::vector<std::string>& hashes);
  void Remove(uint64_t record_id, const std::vector<std::string>& hashes);

  // The longest prefix of `hashes` that a record holds; of several records the oldest.
  Prefix Find(absl::Span<const std::string> hashes) const;

  int64_t size() const { return static_cast<int64_t>(records_.size()); }

 private:
  std::unordered_map<std::string, std::set<uint64_t>> records_;  // By hash.
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_PREFIX_INDEX_H_
