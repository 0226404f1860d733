// TextPattern: what `{"String": ...}` or `{"Regex": ...}` in a tokenizer.json finds in a text.
// Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_TEXT_PATTERN_H_
#define ALCHEMIST_MODEL_TOKENIZER_TEXT_PATTERN_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/text_range.h"

namespace alchemist {

class TextPattern {
 public:
  static absl::StatusOr<TextPattern> Parse(const JsonNode& node);

  // All matches in order, without overlap. The errors are Regex::FindAll's.
  absl::StatusOr<std::vector<TextRange>> FindAll(absl::string_view text) const;

 private:
  explicit TextPattern(std::variant<std::string, Regex> pattern) : pattern_(std::move(pattern)) {}

  std::variant<std::string, Regex> pattern_;
};

// All places where `part` stands in `text`, in order and without overlap. REQUIRES: not empty.
std::vector<TextRange> FindAllOf(absl::string_view part, absl::string_view text);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_TEXT_PATTERN_H_
