// Normalizer: the steps of tokenizer.json's `normalizer`, which rewrite text before it is split:
// Prepend, Replace, NFC, NFD, NFKC, NFKD, Sequence. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_NORMALIZER_H_
#define ALCHEMIST_MODEL_TOKENIZER_NORMALIZER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/text_piece.h"

namespace alchemist {

class Normalizer {
 public:
  // One step. A Sequence is no step: its steps are.
  class Step {
   public:
    virtual ~Step() = default;
    virtual absl::StatusOr<std::string> Apply(std::string text, PieceOrigin origin) const = 0;
  };

  // nullopt (a null in the file) normalizes nothing.
  static absl::StatusOr<Normalizer> Parse(const std::optional<JsonNode>& node);

  // ResourceExhausted when the text grows beyond all use, or by Regex::FindAll.
  // REQUIRES: `text` is UTF-8 and not empty.
  absl::StatusOr<std::string> Apply(absl::string_view text, PieceOrigin origin) const;

 private:
  explicit Normalizer(std::vector<std::unique_ptr<const Step>> steps) : steps_(std::move(steps)) {}

  std::vector<std::unique_ptr<const Step>> steps_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_NORMALIZER_H_
