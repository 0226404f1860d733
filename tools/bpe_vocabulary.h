// BpeVocabulary: the tokens and merges of a byte-level BPE tokenizer that the project makes itself.
// Plain value.
#ifndef ALCHEMIST_TOOLS_BPE_VOCABULARY_H_
#define ALCHEMIST_TOOLS_BPE_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace alchemist {

// The only special token. It ends an answer; no token begins a text.
inline constexpr absl::string_view kEndOfText = "<|endoftext|>";
inline constexpr int32_t kEndOfTextId = 0;

// Tokens are written in the byte alphabet of byte-level BPE.
struct BpeVocabulary {
  std::vector<std::string> tokens;  // by id: kEndOfText, the 256 bytes, then what merges make
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BPE_VOCABULARY_H_
