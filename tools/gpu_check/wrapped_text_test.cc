#include "tools/gpu_check/wrapped_text.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace alchemist {
namespace {

std::string Repeated(int count, absl::string_view word) {
  std::string text;
  for (int i = 0; i < count; ++i) absl::StrAppend(&text, word);
  return text;
}

TEST(WrappedTextTest, LinesAreAsLongAsTheScreenAndNoLonger) {
  // 2 columns of head, then words of 6 with a space between: 14 of them are 97, and 99 with it.
  const std::string text = WrappedText("- ", 4, Repeated(30, "sixes! "));
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 4) << text;  // The last one is empty, behind the end of line.
  EXPECT_EQ(lines[0], absl::StrCat("- ", Repeated(13, "sixes! "), "sixes!"));
  EXPECT_EQ(lines[1], absl::StrCat("    ", Repeated(12, "sixes! "), "sixes!"));
  EXPECT_EQ(lines[2], "    sixes! sixes! sixes!");
  EXPECT_EQ(WrappedText("", 0, absl::StrCat(Repeated(98, "x"), " y")),
            absl::StrCat(Repeated(98, "x"), " y\n"))
      << "100 columns fit";
  EXPECT_EQ(WrappedText("", 0, absl::StrCat(Repeated(99, "x"), " y")),
            absl::StrCat(Repeated(99, "x"), "\ny\n"));
}

TEST(WrappedTextTest, AWordThatIsWiderThanALineStaysWhole) {
  const std::string path = Repeated(30, "/folder");
  EXPECT_EQ(WrappedText("a: ", 2, absl::StrCat(path, " b")), absl::StrCat("a: ", path, "\n  b\n"));
}

TEST(WrappedTextTest, ControlCharactersOnlyPartWords) {
  EXPECT_EQ(OneLine("  a\tb\r\n\x1b[2Jc\x7f"), "a b [2Jc");
  EXPECT_EQ(OneLine(absl::string_view("a\0b", 3)), "a b");
  EXPECT_EQ(WrappedText("a: ", 2, "\x1b"), "a:\n") << "no white space ends a line";
}

TEST(WrappedTextTest, WidthIsInCharactersNotBytes) {
  EXPECT_EQ(ColumnsOf("\u00b5s \u2192"), 4);
  const std::string wide = Repeated(49, "\u00b5");
  EXPECT_EQ(WrappedText("", 0, absl::StrCat(wide, " ", wide)), absl::StrCat(wide, " ", wide, "\n"));
}

}  // namespace
}  // namespace alchemist
