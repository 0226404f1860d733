#include "tools/gpu_check/wrapped_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace alchemist {
namespace {

struct PartsWords {
  bool operator()(char c) const { return absl::ascii_isspace(c) || absl::ascii_iscntrl(c); }
};

std::vector<std::string> WordsOf(absl::string_view text) {
  std::string spaced(text);
  std::replace_if(spaced.begin(), spaced.end(), PartsWords(), ' ');
  return absl::StrSplit(spaced, ' ', absl::SkipEmpty());
}

}  // namespace

int ColumnsOf(absl::string_view text) {
  // Every byte but those that continue a character.
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string OneLine(absl::string_view text) { return absl::StrJoin(WordsOf(text), " "); }

std::string WrappedText(absl::string_view head, int indent, absl::string_view text) {
  std::string lines;
  std::string line(head);
  bool has_word = false;
  for (const std::string& word : WordsOf(text)) {
    if (has_word && ColumnsOf(line) + 1 + ColumnsOf(word) > kTextColumns) {
      absl::StrAppend(&lines, line, "\n");
      line = std::string(indent, ' ');
      has_word = false;
    }
    absl::StrAppend(&line, has_word ? " " : "", word);
    has_word = true;
  }
  absl::StripTrailingAsciiWhitespace(&line);  // Of a head without a word.
  return absl::StrCat(lines, line, "\n");
}

}  // namespace alchemist
