// TokenDecoder: the steps of tokenizer.json's `decoder`, which make text of tokens: ByteLevel,
// Metaspace, ByteFallback, Replace, Fuse, Strip, Sequence. Steps work on each token, until one puts
// bytes together or fuses the tokens; what follows works on the whole text. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_DECODER_H_
#define ALCHEMIST_MODEL_TOKENIZER_DECODER_H_

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/strip_stream.h"

namespace alchemist {

class TokenDecoder {
 public:
  // Puts another string in the place of `from`, in the first token of a text and in the others.
  struct Substitution {
    std::string from;
    std::string to_in_first;
    std::string to;
  };
  using TokenStep = std::variant<Substitution, Strip>;
  enum class Bytes {
    kNone,       // tokens are text
    kByteLevel,  // tokens are written in the byte alphabet
    kFallback,   // <0x00> to <0xFF> are bytes, all other tokens text
  };

  // nullopt (a null in the file) joins the tokens with spaces. Unimplemented when the steps stand
  // in an order that cannot be followed while tokens arrive.
  static absl::StatusOr<TokenDecoder> Parse(const std::optional<JsonNode>& node);

  const std::vector<TokenStep>& token_steps() const { return token_steps_; }
  Bytes bytes() const { return bytes_; }
  const std::vector<Strip>& text_steps() const { return text_steps_; }
  const std::string& separator() const { return separator_; }

 private:
  TokenDecoder() = default;

  absl::Status Add(const JsonNode& node);
  absl::Status AddTokenStep(const JsonNode& node, TokenStep step);
  absl::Status AddBytes(const JsonNode& node, Bytes bytes);
  absl::Status AddStrip(const JsonNode& node);

  std::vector<TokenStep> token_steps_;
  Bytes bytes_ = Bytes::kNone;
  bool fused_ = false;  // whether the steps added so far leave one text
  std::vector<Strip> text_steps_;
  std::string separator_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_DECODER_H_
