// BpeModel: the vocabulary and the merges of tokenizer.json's `model`. It writes a word as tokens
// by merging, again and again, the adjacent pair of lowest rank. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_BPE_MODEL_H_
#define ALCHEMIST_MODEL_TOKENIZER_BPE_MODEL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "base/status.h"

namespace alchemist {

// Ids of a tokenizer.json are at most this; tables are indexed by them.
inline constexpr int64_t kTokenIdMax = (1 << 22) - 1;

class BpeModel {
 public:
  static absl::StatusOr<BpeModel> Parse(const JsonNode& node);

  // Appends the tokens of `word` to `ids`, in O(n log n) for a word of n characters.
  // InvalidArgument when a character has no token and the model neither falls back to bytes nor has
  // an unknown token. REQUIRES: `word` is UTF-8.
  absl::Status Encode(absl::string_view word, std::vector<int32_t>* ids) const;

  std::optional<int32_t> FindId(absl::string_view token) const;
  // The text of token `id`, empty where there is none.
  absl::string_view Text(int32_t id) const;
  // One more than the greatest id.
  int64_t id_limit() const { return static_cast<int64_t>(texts_.size()); }

 private:
  struct Merge {
    int32_t rank = 0;
    int32_t result = 0;  // the id that the pair becomes
  };

  BpeModel() = default;

  absl::Status ParseOptions(const JsonNode& node);
  absl::Status ParseVocabulary(const JsonNode& node);
  absl::Status ParseMerges(const JsonNode& node);
  absl::Status AddMerge(const JsonNode& merge, absl::string_view left, absl::string_view right,
                        int32_t rank);

  // The tokens of the characters of `word`, before any merge.
  absl::StatusOr<std::vector<int32_t>> EncodeCharacters(absl::string_view word) const;
  // Appends a token for each byte of `character`; false and no change where one is missing.
  bool AppendBytes(absl::string_view character, std::vector<int32_t>* ids) const;
  void MergePairs(std::vector<int32_t>* ids) const;
  const Merge* FindMerge(int32_t left, int32_t right) const;

  absl::flat_hash_map<std::string, int32_t> ids_;
  std::vector<std::string> texts_;                 // by id
  absl::flat_hash_map<uint64_t, Merge> merges_;    // by the ids of the pair
  std::array<std::optional<int32_t>, 256> bytes_;  // <0x00> to <0xFF>, where byte_fallback is set
  std::optional<int32_t> unknown_;                 // unk_token
  bool fuse_unknown_ = false;                      // neighbouring unknown characters are one token
  bool ignore_merges_ = false;  // a word that is a token is that token, whatever the merges say
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_BPE_MODEL_H_
