// AddedVocabulary: the `added_tokens` of a tokenizer.json, special ones and others. They are found
// in the text before BPE sees it: first those that stand for themselves, in the text as it came;
// then the `normalized` ones, in their normalized form, in the normalized text. Immutable; any
// thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_ADDED_VOCABULARY_H_
#define ALCHEMIST_MODEL_TOKENIZER_ADDED_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/bpe_model.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/text_range.h"
#include "model/tokenizer/token_trie.h"

namespace alchemist {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // matches only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space behind it along
  bool normalized = false;
  bool special = false;
};

class AddedVocabulary {
 public:
  // A part of a text: an added token, or text between them (token is nullopt).
  struct Segment {
    TextRange range;
    std::optional<int32_t> token;
  };

  // A token that is in the model's vocabulary must have its id there; the others must have free
  // ones. nullopt is an empty list.
  static absl::StatusOr<AddedVocabulary> Parse(const std::optional<JsonNode>& node,
                                               const BpeModel& model, const Normalizer& normalizer);

  // The segments of a text before and after normalization, in order, text segments never empty.
  // REQUIRES: `text` is UTF-8.
  std::vector<Segment> SplitRaw(absl::string_view text) const { return Split(raw_, text); }
  std::vector<Segment> SplitNormalized(absl::string_view text) const {
    return Split(normalized_, text);
  }

  const AddedToken* Find(int32_t id) const;       // nullptr: not an added token
  int64_t id_limit() const { return id_limit_; }  // one more than the greatest id

 private:
  AddedVocabulary() = default;

  absl::Status Add(const JsonNode& node, const BpeModel& model, const Normalizer& normalizer);
  std::vector<Segment> Split(const TokenTrie& trie, absl::string_view text) const;

  absl::flat_hash_map<int32_t, AddedToken> tokens_;  // by id
  TokenTrie raw_;                                    // values are ids
  TokenTrie normalized_;
  int64_t id_limit_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_ADDED_VOCABULARY_H_
