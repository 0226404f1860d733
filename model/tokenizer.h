// Tokenizer: text to token ids and back, as the tokenizer.json of a Hugging Face directory says.
// BPE at byte level or with byte fallback; a field that is not supported is an error that names it.
// Immutable after Parse; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_H_
#define ALCHEMIST_MODEL_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/added_vocabulary.h"
#include "model/tokenizer/bpe_model.h"
#include "model/tokenizer/decoder.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/post_processor.h"
#include "model/tokenizer/pre_tokenizer.h"
#include "model/tokenizer/text_piece.h"

namespace alchemist {

inline constexpr int64_t kTokenizerFileBytesMax = 64 << 20;
inline constexpr int64_t kEncodeBytesMax = 64 << 20;

class Tokenizer {
 public:
  // Reads <directory>/tokenizer.json, of at most kTokenizerFileBytesMax.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const std::string& directory);

  // InvalidArgument or Unimplemented, naming `name` and the field.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Parse(absl::string_view json,
                                                                absl::string_view name);

  // The tokens of `text`; with `add_special_tokens` also those that the post-processor puts around
  // a text (such as BOS). Added tokens that are spelled out in `text` are recognized.
  // InvalidArgument when `text` is not UTF-8, longer than kEncodeBytesMax, or has a character for
  // which there is no token; ResourceExhausted when a pattern of the file runs away on it.
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              bool add_special_tokens) const;

  // The tokens of `text` as a continuation of earlier text: as Encode without special tokens, but
  // where `text` begins no prefix space is added.
  absl::StatusOr<std::vector<int32_t>> EncodeContinuation(absl::string_view text) const;

  // The text of `ids`: all that StreamDecoder returns for them. Ids without a token add none.
  std::string Decode(absl::Span<const int32_t> ids, bool skip_special_tokens) const;

  // All ids are below it. There may be ids below it that have no token.
  int64_t vocab_size() const;

  // Bytes of the longest token as the file spells it, which is no shorter than its text.
  int64_t token_bytes_max() const { return token_bytes_max_; }

  // The SHA-256 of tokenizer.json, in hex.
  const std::string& digest() const { return digest_; }

  // The token `id` as the file spells it. Empty where there is none, and for a special token when
  // `skip_special_tokens`.
  absl::string_view TokenText(int32_t id, bool skip_special_tokens) const;
  const TokenDecoder& decoder() const { return decoder_; }

 private:
  Tokenizer(BpeModel model, Normalizer normalizer, AddedVocabulary added,
            PreTokenizer pre_tokenizer, PostProcessor post_processor, TokenDecoder decoder,
            std::string digest);

  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Build(const JsonNode& root,
                                                                std::string digest);

  // Appends the tokens of `text`, before which stands what `origin` says.
  absl::Status EncodeText(absl::string_view text, PieceOrigin origin,
                          std::vector<int32_t>* ids) const;
  // The same for text in which no token stands that SplitRaw finds.
  absl::Status EncodeSegment(absl::string_view text, PieceOrigin origin,
                             std::vector<int32_t>* ids) const;

  const BpeModel model_;
  const Normalizer normalizer_;
  const AddedVocabulary added_;
  const PreTokenizer pre_tokenizer_;
  const PostProcessor post_processor_;
  const TokenDecoder decoder_;
  const std::string digest_;
  int64_t token_bytes_max_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_H_
