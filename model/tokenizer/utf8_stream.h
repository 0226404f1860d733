// Utf8Stream puts characters together from bytes that arrive in pieces. It hands on a character as
// soon as its last byte is there and never a part of one; bytes that can belong to no character
// come out as U+FFFD. One thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_UTF8_STREAM_H_
#define ALCHEMIST_MODEL_TOKENIZER_UTF8_STREAM_H_

#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

class Utf8Stream {
 public:
  enum class Replacement {
    kPerSequence,  // one U+FFFD for the bytes of a character that was broken off (Unicode 3.9)
    kPerByte,      // one U+FFFD for each of them
  };

  explicit Utf8Stream(Replacement replacement) : replacement_(replacement) {}

  // Appends to `text` what `bytes` complete.
  void Push(absl::string_view bytes, std::string* text);

  // Appends the replacement of bytes that still wait for the rest of their character.
  void Flush(std::string* text);

 private:
  void PushByte(char byte, std::string* text);

  const Replacement replacement_;
  std::string pending_;  // the first bytes of one character, at most 3
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_UTF8_STREAM_H_
