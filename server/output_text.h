// OutputText: from sampled tokens to the text a client sees: whole UTF-8 characters, ended before
// the first stop string, and nothing emitted that might still turn out to begin one. One per
// sequence.
#ifndef ALCHEMIST_SERVER_OUTPUT_TEXT_H_
#define ALCHEMIST_SERVER_OUTPUT_TEXT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/stream_decoder.h"
#include "model/tokenizer.h"

namespace alchemist {

class OutputText {
 public:
  OutputText(const Tokenizer* tokenizer, std::vector<std::string> stop)
      : decoder_(tokenizer, {.continuation = true}), stop_(std::move(stop)) {}

  // Adds a token and returns what can be emitted now. Sets stopped() when a stop string is
  // complete. Not `may_stop`: this token's text is not looked at for stop strings.
  std::string Push(int32_t token, bool may_stop = true);
  // What was held back, at the end of the answer. Nothing after a stop string.
  std::string Finish();
  bool stopped() const { return stopped_; }

 private:
  std::string Emit(std::string text, bool last);

  StreamDecoder decoder_;
  const std::vector<std::string> stop_;  // Non-empty strings.
  std::string held_;
  bool stopped_ = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_OUTPUT_TEXT_H_
