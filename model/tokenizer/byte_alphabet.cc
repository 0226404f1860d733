#include "model/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

constexpr int kBytes = 256;
// Bytes that print in Latin-1 stand for themselves; the other 68 follow from U+0100 on.
constexpr int kCharacters = kBytes + 68;

constexpr bool Prints(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, kBytes> characters{};
  std::array<int16_t, kCharacters> bytes{};  // -1: the character is not in the alphabet
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.bytes) byte = -1;
  int next = kBytes;
  for (int byte = 0; byte < kBytes; ++byte) {
    const int character = Prints(byte) ? byte : next++;
    alphabet.characters[byte] = static_cast<char32_t>(character);
    alphabet.bytes[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

std::string ToByteAlphabet(absl::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 4);
  for (const char byte : bytes) {
    AppendUtf8(kAlphabet.characters[static_cast<uint8_t>(byte)], &text);
  }
  return text;
}

std::string FromByteAlphabet(absl::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  const int64_t size = static_cast<int64_t>(token.size());
  for (int64_t position = 0; position < size;) {
    const char32_t character = NextCharacter(token, &position);
    const int byte = character < kCharacters ? kAlphabet.bytes[character] : -1;
    if (byte < 0) return std::string(token);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace alchemist
