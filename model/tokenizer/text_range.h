// TextRange: bytes [begin, end) of a text, as matches and pieces are named. Plain value.
#ifndef ALCHEMIST_MODEL_TOKENIZER_TEXT_RANGE_H_
#define ALCHEMIST_MODEL_TOKENIZER_TEXT_RANGE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace alchemist {

struct TextRange {
  int64_t begin = 0;
  int64_t end = 0;

  absl::string_view Of(absl::string_view text) const { return text.substr(begin, end - begin); }
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_TEXT_RANGE_H_
