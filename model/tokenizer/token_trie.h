// TokenTrie finds the longest of many fixed strings at each place of a text. Built once, then
// immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_TOKEN_TRIE_H_
#define ALCHEMIST_MODEL_TOKENIZER_TOKEN_TRIE_H_

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace alchemist {

class TokenTrie {
 public:
  struct Match {
    int64_t begin = 0;
    int64_t end = 0;
    int32_t value = 0;
  };

  // Of equal strings the first one's value counts. REQUIRES: not empty.
  void Add(absl::string_view text, int32_t value);

  // The leftmost match at or behind `from`; of those that begin there the longest.
  std::optional<Match> FindNext(absl::string_view text, int64_t from) const;

 private:
  std::optional<Match> FindAt(absl::string_view text, int64_t begin) const;

  int32_t nodes_ = 1;                             // the root is node 0
  absl::flat_hash_map<uint64_t, int32_t> edges_;  // node << 8 | byte -> node
  absl::flat_hash_map<int32_t, int32_t> values_;  // node -> value of the string that ends there
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_TOKEN_TRIE_H_
