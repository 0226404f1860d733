// SplitBehavior: what becomes of the matches (the delimiters) when a text is split at them. The
// names are tokenizer.json's. Plain functions; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_SPLIT_BEHAVIOR_H_
#define ALCHEMIST_MODEL_TOKENIZER_SPLIT_BEHAVIOR_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/text_range.h"

namespace alchemist {

enum class SplitBehavior {
  kRemoved,             // "a-b" -> "a" "b"
  kIsolated,            // "a" "-" "b"
  kMergedWithPrevious,  // "a-" "b"
  kMergedWithNext,      // "a" "-b"
  kContiguous,          // kIsolated, but matches that touch are one: "a--b" -> "a" "--" "b"
};

absl::StatusOr<SplitBehavior> ParseSplitBehavior(const JsonNode& node);

// The pieces of a text of `bytes` bytes, in order; empty ones are left out. `invert` makes what
// lies between the matches the delimiters. REQUIRES: `matches` are in order and do not overlap.
std::vector<TextRange> SplitAt(const std::vector<TextRange>& matches, int64_t bytes,
                               SplitBehavior behavior, bool invert);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_SPLIT_BEHAVIOR_H_
