// DecoderStream runs a TokenDecoder's steps over tokens that arrive one by one. One thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_DECODER_STREAM_H_
#define ALCHEMIST_MODEL_TOKENIZER_DECODER_STREAM_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/tokenizer/decoder.h"
#include "model/tokenizer/strip_stream.h"
#include "model/tokenizer/utf8_stream.h"

namespace alchemist {

class DecoderStream {
 public:
  // As a `continuation` the tokens go on a text that exists already: nothing that a decoder does
  // where a text begins (taking the prefix space off) is done. `decoder` must outlive the stream.
  DecoderStream(const TokenDecoder* decoder, bool continuation);

  // The text that `token` adds, in whole characters; it may be empty. An empty token is no token.
  std::string Push(absl::string_view token);

  // The text that is left when no token follows: U+FFFD for the bytes of an unfinished character.
  std::string Finish();

 private:
  std::string ApplyTokenSteps(absl::string_view token) const;
  void AppendBytes(const std::string& token, std::string* text);
  std::string ApplyTextSteps(std::string text);

  const TokenDecoder* const decoder_;
  bool first_;  // whether the next token is the text's first
  Utf8Stream utf8_;
  std::vector<StripStream> strips_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_DECODER_STREAM_H_
