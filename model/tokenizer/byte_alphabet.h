// The alphabet in which byte-level BPE writes bytes: a printable character for each of the 256, as
// GPT-2 chose them (a space is written U+0120). Any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_BYTE_ALPHABET_H_
#define ALCHEMIST_MODEL_TOKENIZER_BYTE_ALPHABET_H_

#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

std::string ToByteAlphabet(absl::string_view bytes);

// The bytes that `token` writes. A token with any character outside of the alphabet (an added one)
// stands for itself. REQUIRES: `token` is UTF-8.
std::string FromByteAlphabet(absl::string_view token);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_BYTE_ALPHABET_H_
