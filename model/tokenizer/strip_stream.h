// StripStream takes up to `start` leading and up to `stop` trailing copies of a character off a
// text that arrives in pieces. One thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_STRIP_STREAM_H_
#define ALCHEMIST_MODEL_TOKENIZER_STRIP_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

struct Strip {
  std::string content;  // one character
  int64_t start = 0;
  int64_t stop = 0;

  std::string Apply(absl::string_view text) const;  // to a whole text
};

class StripStream {
 public:
  explicit StripStream(Strip strip) : strip_(std::move(strip)), leading_(strip_.start) {}

  // The part of the text so far that is known to stay, less what was returned before. What is left
  // when the text ends is stripped. REQUIRES: `piece` is UTF-8.
  std::string Push(absl::string_view piece);

 private:
  const Strip strip_;
  int64_t leading_;       // how many copies may still be taken off the front
  int64_t trailing_ = 0;  // copies held back, since the text may end with them; at most strip_.stop
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_STRIP_STREAM_H_
