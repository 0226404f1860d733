#include "model/tokenizer/utf8_stream.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

using Replacement = Utf8Stream::Replacement;

std::string Decode(absl::string_view bytes, Replacement replacement) {
  Utf8Stream stream(replacement);
  std::string text;
  stream.Push(bytes, &text);
  stream.Flush(&text);
  return text;
}

TEST(Utf8StreamTest, ACharacterComesWithItsLastByte) {
  Utf8Stream stream(Replacement::kPerSequence);
  std::string text;
  stream.Push("\xF0\x9F", &text);
  stream.Push("\xA6", &text);
  EXPECT_EQ(text, "");
  stream.Push("\x99", &text);
  EXPECT_EQ(text, "🦙");
}

TEST(Utf8StreamTest, BytesThatAreNoCharacterAreReplacedBySequenceOrByByte) {
  struct Case {
    absl::string_view bytes;
    absl::string_view per_sequence;
    absl::string_view per_byte;
  };
  // The first is the example of the Unicode standard, table 3-8.
  for (const Case& c :
       std::initializer_list<Case>{{"a\xF1\x80\x80\xE1\x80\xC2"
                                    "b\x80"
                                    "c\x80\xBF"
                                    "d",
                                    "a���b�c��d", "a������b�c��d"},
                                   {"\xED\xA0\x80", "���", "���"},        // a surrogate
                                   {"\xC0\xAF", "��", "��"},              // overlong
                                   {"\xF4\x90\x80\x80", "����", "����"},  // above U+10FFFF
                                   {"\xE2\x82", "�", "��"},               // the end comes first
                                   {"\xE2\xE2\x82\xAC", "�€", "�€"}}) {
    EXPECT_EQ(Decode(c.bytes, Replacement::kPerSequence), c.per_sequence);
    EXPECT_EQ(Decode(c.bytes, Replacement::kPerByte), c.per_byte);
  }
}

TEST(Utf8StreamTest, PiecesOfAnyBytesAreUtf8AndTextComesThroughUnchanged) {
  Random random(1);
  constexpr uint8_t kBytes[] = {'a', 0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xE2, 0xED, 0xF0, 0xF4};
  for (int run = 0; run < 2000; ++run) {
    Utf8Stream stream(Replacement::kPerSequence);
    std::string bytes;
    std::string text;
    for (int i = 0; i < 12; ++i) {
      const char byte = static_cast<char>(kBytes[random.Below(std::size(kBytes))]);
      bytes.push_back(byte);
      std::string piece;
      stream.Push(absl::string_view(&byte, 1), &piece);
      ASSERT_EQ(FindInvalidUtf8(piece), -1);
      text += piece;
    }
    stream.Flush(&text);
    ASSERT_EQ(text, Decode(bytes, Replacement::kPerSequence));
    if (FindInvalidUtf8(bytes) < 0) {
      ASSERT_EQ(text, bytes);
    }
  }
}

}  // namespace
}  // namespace alchemist
