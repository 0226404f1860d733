// Metaspace: the fields of tokenizer.json's Metaspace, which is a pre-tokenizer and a decoder. It
// writes a space as a visible character, and may put one before the text. Plain value.
#ifndef ALCHEMIST_MODEL_TOKENIZER_METASPACE_H_
#define ALCHEMIST_MODEL_TOKENIZER_METASPACE_H_

#include <string>

#include "base/json.h"
#include "base/status.h"

namespace alchemist {

struct Metaspace {
  enum class Prepend {
    kAlways,  // before every piece that has none
    kFirst,   // only where the text begins
    kNever,
  };

  std::string replacement;  // one character
  Prepend prepend = Prepend::kAlways;
  bool split = true;  // whether every replacement begins a piece

  // Knows `prepend_scheme` and the older `add_prefix_space`.
  static absl::StatusOr<Metaspace> Parse(const JsonNode& node);
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_METASPACE_H_
