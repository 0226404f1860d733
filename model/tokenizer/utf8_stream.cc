#include "model/tokenizer/utf8_stream.h"

#include <cstdint>

#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

// The length of the character that `lead` begins, 0 when it begins none.
int64_t SequenceBytes(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Whether `byte` may come second after `lead`. The narrower ranges shut out overlong forms (E0,
// F0), surrogates (ED) and what lies above U+10FFFF (F4).
bool MayComeSecond(uint8_t lead, uint8_t byte) {
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return byte >= low && byte <= high;
}

// Whether `byte` goes on the character that `begun` begins.
bool GoesOn(absl::string_view begun, char byte) {
  const uint8_t value = static_cast<uint8_t>(byte);
  if (begun.size() == 1) return MayComeSecond(static_cast<uint8_t>(begun[0]), value);
  return value >= 0x80 && value <= 0xBF;
}

}  // namespace

void Utf8Stream::Push(absl::string_view bytes, std::string* text) {
  for (const char byte : bytes) PushByte(byte, text);
}

void Utf8Stream::PushByte(char byte, std::string* text) {
  if (!pending_.empty() && !GoesOn(pending_, byte)) Flush(text);
  if (pending_.empty() && SequenceBytes(static_cast<uint8_t>(byte)) == 0) {
    text->append(kReplacementCharacter.data(), kReplacementCharacter.size());
    return;
  }
  pending_.push_back(byte);
  const int64_t wanted = SequenceBytes(static_cast<uint8_t>(pending_[0]));
  if (static_cast<int64_t>(pending_.size()) < wanted) return;
  text->append(pending_);
  pending_.clear();
}

void Utf8Stream::Flush(std::string* text) {
  if (pending_.empty()) return;
  const size_t count = replacement_ == Replacement::kPerByte ? pending_.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    text->append(kReplacementCharacter.data(), kReplacementCharacter.size());
  }
  pending_.clear();
}

}  // namespace alchemist
