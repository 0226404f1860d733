#include "model/stream_decoder.h"

namespace alchemist {

StreamDecoder::StreamDecoder(const Tokenizer* tokenizer, DecodeOptions options)
    : tokenizer_(tokenizer),
      skip_special_tokens_(options.skip_special_tokens),
      stream_(&tokenizer->decoder(), options.continuation) {}

std::string StreamDecoder::Push(int32_t id) {
  return stream_.Push(tokenizer_->TokenText(id, skip_special_tokens_));
}

std::string StreamDecoder::Finish() { return stream_.Finish(); }

}  // namespace alchemist
