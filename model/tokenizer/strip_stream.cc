#include "model/tokenizer/strip_stream.h"

#include "model/tokenizer/unicode.h"

namespace alchemist {

std::string Strip::Apply(absl::string_view text) const { return StripStream(*this).Push(text); }

std::string StripStream::Push(absl::string_view piece) {
  std::string text;
  const auto append = [&text](absl::string_view part) { text.append(part.data(), part.size()); };
  int64_t bytes = 0;
  for (size_t begin = 0; begin < piece.size(); begin += bytes) {
    bytes = CharacterBytes(piece[begin]);
    const absl::string_view character = piece.substr(begin, bytes);
    const bool content = character == strip_.content;
    if (content && leading_ > 0) {
      --leading_;
      continue;
    }
    leading_ = 0;
    if (content && trailing_ < strip_.stop) {
      ++trailing_;
      continue;
    }
    // Of a run longer than `stop` the first copies stay; any other character frees all.
    if (!content) {
      for (; trailing_ > 0; --trailing_) append(strip_.content);
    }
    append(character);
  }
  return text;
}

}  // namespace alchemist
