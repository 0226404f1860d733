// tokenizer.json; after a zero byte, which no JSON has, a text to encode with it.
#include "absl/strings/string_view.h"
#include "base/logging.h"
#include "model/tokenizer.h"
#include "tests/fuzz/fuzz_target.h"

namespace alchemist {

bool TakesInput(absl::string_view input) {
  const size_t zero = input.find('\0');
  const auto tokenizer = Tokenizer::Parse(input.substr(0, zero), "fuzz");
  if (!tokenizer.ok()) return false;
  const absl::string_view text =
      zero == absl::string_view::npos ? absl::string_view("hello wörld") : input.substr(zero + 1);
  for (const bool special : {false, true}) {
    const auto ids = (*tokenizer)->Encode(text, special);
    if (!ids.ok()) continue;
    for (const int32_t id : *ids) CHECK(id >= 0 && id < (*tokenizer)->vocab_size()) << id;
    (*tokenizer)->Decode(*ids, special);
  }
  (void)(*tokenizer)->EncodeContinuation(text);
  return true;
}

}  // namespace alchemist
