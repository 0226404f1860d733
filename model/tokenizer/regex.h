// Regex: a regular expression of a tokenizer.json, matched by PCRE2 (RE2 has neither look-ahead nor
// possessive quantifiers, which these files use). The files are written for Oniguruma; what would
// mean something else here is refused, so that ids never differ silently. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_REGEX_H_
#define ALCHEMIST_MODEL_TOKENIZER_REGEX_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "model/tokenizer/text_range.h"

struct pcre2_real_code_8;

namespace alchemist {

class Regex {
 public:
  // InvalidArgument when PCRE2 refuses `pattern`, Unimplemented when it uses syntax that Oniguruma
  // reads otherwise. `field` is the name by which errors, here and in FindAll, speak of it.
  static absl::StatusOr<Regex> Compile(absl::string_view pattern, absl::string_view field);

  // All matches in `text`, in order and without overlap; matches may be empty.
  // ResourceExhausted when matching takes more steps than a constant per byte of text, as patterns
  // that backtrack without bound do. REQUIRES: `text` is UTF-8.
  absl::StatusOr<std::vector<TextRange>> FindAll(absl::string_view text) const;

 private:
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };

  Regex(pcre2_real_code_8* code, std::string field) : code_(code), field_(std::move(field)) {}

  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
  std::string field_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_REGEX_H_
