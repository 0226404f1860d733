// Text in lines that fit a terminal. What is wrapped may come from a file of another machine, so
// control characters part words as white space does: no text moves the cursor. Pure functions; any
// thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_WRAPPED_TEXT_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_WRAPPED_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

inline constexpr int kTextColumns = 100;

// How wide UTF-8 text is where every character takes one column.
int ColumnsOf(absl::string_view text);

// The words of `text`, one space between them.
std::string OneLine(absl::string_view text);

// The words of `text` in lines of at most kTextColumns: the first begins with `head`, the others
// with `indent` spaces. A word that is wider than a line stays whole, so that a path can be copied.
std::string WrappedText(absl::string_view head, int indent, absl::string_view text);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_WRAPPED_TEXT_H_
