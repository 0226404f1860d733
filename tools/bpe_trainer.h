// Trains a byte-level BPE vocabulary, as GPT-2's was, for models that the project makes itself.
// The same texts make the same vocabulary, whatever the machine. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_BPE_TRAINER_H_
#define ALCHEMIST_TOOLS_BPE_TRAINER_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "base/status.h"
#include "tools/bpe_vocabulary.h"

namespace alchemist {

// Merges the most frequent pair of adjacent tokens, of several the one with the least ids, until
// there are `tokens_max` tokens or no pair occurs twice. Tokens never cross the words that the
// ByteLevel pre-tokenizer cuts. InvalidArgument when `tokens_max` has no room for the bytes, or
// a text is not UTF-8 or contains kEndOfText.
absl::StatusOr<BpeVocabulary> TrainBpe(absl::Span<const std::string> texts, int64_t tokens_max);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BPE_TRAINER_H_
