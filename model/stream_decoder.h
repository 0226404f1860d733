// StreamDecoder: token ids to text while they are being sampled. The pieces it returns are whole
// UTF-8 characters, and together they are what Tokenizer::Decode returns. One per choice of a
// completion; one thread.
//
// A character of several byte tokens is returned with its last one, and bytes that can belong to no
// character as U+FFFD as soon as that is known. (Hugging Face's ByteFallback decoder waits for the
// end of a run of byte tokens and replaces the whole run when any byte of it is wrong. Text that a
// tokenizer made decodes the same.)
#ifndef ALCHEMIST_MODEL_STREAM_DECODER_H_
#define ALCHEMIST_MODEL_STREAM_DECODER_H_

#include <cstdint>
#include <string>

#include "model/tokenizer.h"
#include "model/tokenizer/decoder_stream.h"

namespace alchemist {

struct DecodeOptions {
  bool skip_special_tokens = true;
  // The ids go on a text that exists already (the prompt), so that a space with which they begin is
  // kept: the counterpart of Tokenizer::EncodeContinuation.
  bool continuation = false;
};

class StreamDecoder {
 public:
  // `tokenizer` must outlive the decoder.
  explicit StreamDecoder(const Tokenizer* tokenizer, DecodeOptions options = {});

  // The text that `id` adds; it may be empty. An id without a token adds none.
  std::string Push(int32_t id);

  // What is left when no id follows: U+FFFD for a character that was never finished.
  std::string Finish();

 private:
  const Tokenizer* const tokenizer_;
  const bool skip_special_tokens_;
  DecoderStream stream_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_STREAM_DECODER_H_
