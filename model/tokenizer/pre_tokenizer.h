// PreTokenizer: the steps of tokenizer.json's `pre_tokenizer`, which cut text into the words that
// BPE merges within: Split, ByteLevel, Metaspace, Digits, Sequence. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_PRE_TOKENIZER_H_
#define ALCHEMIST_MODEL_TOKENIZER_PRE_TOKENIZER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/text_piece.h"

namespace alchemist {

class PreTokenizer {
 public:
  // One step. A Sequence is no step: its steps are.
  class Step {
   public:
    virtual ~Step() = default;
    // Appends the pieces of `piece` to `pieces`.
    virtual absl::Status Apply(TextPiece piece, std::vector<TextPiece>* pieces) const = 0;
  };

  // nullopt (a null in the file) leaves a text in one piece.
  static absl::StatusOr<PreTokenizer> Parse(const std::optional<JsonNode>& node);

  // The words of `piece`, none of them empty. The errors are Regex::FindAll's.
  // REQUIRES: the text is UTF-8 and not empty.
  absl::StatusOr<std::vector<TextPiece>> Split(TextPiece piece) const;

 private:
  explicit PreTokenizer(std::vector<std::unique_ptr<const Step>> steps)
      : steps_(std::move(steps)) {}

  std::vector<std::unique_ptr<const Step>> steps_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_PRE_TOKENIZER_H_
