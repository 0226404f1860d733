#include "model/tokenizer/unicode.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace alchemist {

int64_t FindInvalidUtf8(absl::string_view text) {
  const int64_t size = static_cast<int64_t>(text.size());
  int64_t position = 0;
  while (position < size) {
    const int64_t begin = position;
    UChar32 character;
    U8_NEXT(text.data(), position, size, character);
    if (character < 0) return begin;
  }
  return -1;
}

char32_t NextCharacter(absl::string_view text, int64_t* position) {
  UChar32 character;
  U8_NEXT_UNSAFE(text.data(), *position, character);
  return static_cast<char32_t>(character);
}

char32_t PreviousCharacter(absl::string_view text, int64_t* position) {
  UChar32 character;
  U8_PREV_UNSAFE(text.data(), *position, character);
  return static_cast<char32_t>(character);
}

int64_t CharacterBytes(char lead) { return 1 + U8_COUNT_TRAIL_BYTES_UNSAFE(lead); }

bool IsOneCharacter(absl::string_view text) {
  return !text.empty() && CharacterBytes(text[0]) == static_cast<int64_t>(text.size());
}

void AppendUtf8(char32_t character, std::string* text) {
  char bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, character);
  text->append(bytes, size);
}

bool IsWordCharacter(char32_t character) {
  const UChar32 c = static_cast<UChar32>(character);
  constexpr uint32_t kWordCategories = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_hasBinaryProperty(c, UCHAR_ALPHABETIC) || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) ||
         (U_GET_GC_MASK(c) & kWordCategories) != 0;
}

bool IsWhiteSpace(char32_t character) { return u_isUWhiteSpace(static_cast<UChar32>(character)); }

bool IsNumber(char32_t character) {
  return (U_GET_GC_MASK(static_cast<UChar32>(character)) & U_GC_N_MASK) != 0;
}

}  // namespace alchemist
