#include "model/tokenizer/decoder_stream.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "model/tokenizer/byte_alphabet.h"

namespace alchemist {
namespace {

// ByteFallback tells single bytes apart, ByteLevel broken sequences: so do other decoders.
Utf8Stream::Replacement ReplacementOf(TokenDecoder::Bytes bytes) {
  return bytes == TokenDecoder::Bytes::kFallback ? Utf8Stream::Replacement::kPerByte
                                                 : Utf8Stream::Replacement::kPerSequence;
}

// The byte that a token like <0x0A> stands for.
std::optional<char> ByteOf(absl::string_view token) {
  if (token.size() != 6 || !absl::StartsWith(token, "<0x") || !absl::EndsWith(token, ">")) {
    return std::nullopt;
  }
  if (!absl::ascii_isxdigit(token[3]) || !absl::ascii_isxdigit(token[4])) return std::nullopt;
  return absl::HexStringToBytes(token.substr(3, 2))[0];
}

}  // namespace

DecoderStream::DecoderStream(const TokenDecoder* decoder, bool continuation)
    : decoder_(decoder), first_(!continuation), utf8_(ReplacementOf(decoder->bytes())) {
  for (Strip strip : decoder->text_steps()) {
    if (continuation) strip.start = 0;
    strips_.emplace_back(std::move(strip));
  }
}

std::string DecoderStream::Push(absl::string_view token) {
  if (token.empty()) return "";
  std::string text;
  if (!first_) text = decoder_->separator();
  const std::string decoded = ApplyTokenSteps(token);
  first_ = false;
  AppendBytes(decoded, &text);
  return ApplyTextSteps(std::move(text));
}

std::string DecoderStream::Finish() {
  std::string text;
  utf8_.Flush(&text);
  return ApplyTextSteps(std::move(text));
}

std::string DecoderStream::ApplyTokenSteps(absl::string_view token) const {
  std::string text(token);
  for (const TokenDecoder::TokenStep& step : decoder_->token_steps()) {
    if (const auto* strip = std::get_if<Strip>(&step)) {
      text = strip->Apply(text);
    } else {
      const auto& substitution = std::get<TokenDecoder::Substitution>(step);
      const std::string& to = first_ ? substitution.to_in_first : substitution.to;
      text = absl::StrReplaceAll(text, {{substitution.from, to}});
    }
  }
  return text;
}

void DecoderStream::AppendBytes(const std::string& token, std::string* text) {
  switch (decoder_->bytes()) {
    case TokenDecoder::Bytes::kNone:
      text->append(token);
      return;
    case TokenDecoder::Bytes::kByteLevel:
      utf8_.Push(FromByteAlphabet(token), text);
      return;
    case TokenDecoder::Bytes::kFallback:
      if (const std::optional<char> byte = ByteOf(token)) {
        utf8_.Push(absl::string_view(&*byte, 1), text);
      } else {
        // The bytes before a token that is text go on in no other.
        utf8_.Flush(text);
        text->append(token);
      }
      return;
  }
}

std::string DecoderStream::ApplyTextSteps(std::string text) {
  for (StripStream& strip : strips_) text = strip.Push(text);
  return text;
}

}  // namespace alchemist
