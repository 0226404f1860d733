// TokenSequence: one text of a pretraining corpus as tokens. Plain value; any thread.
#ifndef ALCHEMIST_TOOLS_PRETRAIN_TOKEN_SEQUENCE_H_
#define ALCHEMIST_TOOLS_PRETRAIN_TOKEN_SEQUENCE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "model/config.h"
#include "model/tokenizer.h"
#include "tools/world/corpus.h"

namespace alchemist {

struct TokenSequence {
  std::vector<int32_t> tokens;
  int64_t first_trained = 1;  // Index of the first token that is a target; all after it are too.

  // The rows of the forward pass: the last token is only a target.
  int64_t rows() const { return static_cast<int64_t>(tokens.size()) - 1; }
  int64_t trained() const { return static_cast<int64_t>(tokens.size()) - first_trained; }
};

// The samples as the daemons tokenise a prompt and its correction: apart from each other, the
// response ended by the model's first end-of-sequence token. InvalidArgument names the sample that
// is empty, longer than the context or outside the vocabulary.
absl::StatusOr<std::vector<TokenSequence>> TokenSequences(absl::Span<const Sample> samples,
                                                          const Tokenizer& tokenizer,
                                                          const ModelConfig& config);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_PRETRAIN_TOKEN_SEQUENCE_H_
