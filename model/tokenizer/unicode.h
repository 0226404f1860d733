// Characters of UTF-8 text, and the few properties of them that tokenizers ask about. Any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_UNICODE_H_
#define ALCHEMIST_MODEL_TOKENIZER_UNICODE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

// What stands for bytes that are no character, in UTF-8.
inline constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// The offset of the first byte that is not part of a character (overlong forms and surrogates are
// none), or -1 when all of `text` is UTF-8.
int64_t FindInvalidUtf8(absl::string_view text);

// The character that begins at `*position`, which moves behind it.
// REQUIRES: `text` is UTF-8 and *position < text.size().
char32_t NextCharacter(absl::string_view text, int64_t* position);

// The character that ends at `*position`, which moves before it. REQUIRES: `text` is UTF-8 and
// *position > 0.
char32_t PreviousCharacter(absl::string_view text, int64_t* position);

// How many bytes a character takes whose first byte is `lead`. REQUIRES: it is a first byte.
int64_t CharacterBytes(char lead);

// REQUIRES: `text` is UTF-8.
bool IsOneCharacter(absl::string_view text);

void AppendUtf8(char32_t character, std::string* text);

// \w of Unicode's regular expressions (UTS 18): letters, marks, digits, connectors, joiners.
bool IsWordCharacter(char32_t character);
bool IsWhiteSpace(char32_t character);  // the property White_Space
bool IsNumber(char32_t character);      // general categories Nd, Nl and No

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_UNICODE_H_
