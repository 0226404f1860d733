// Which token follows, and whether the answer ends with it: what a request says of sampling and
// stopping, applied to one row of logits. Pure functions; any thread.
#ifndef ALCHEMIST_SERVER_TOKEN_CHOICE_H_
#define ALCHEMIST_SERVER_TOKEN_CHOICE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "server/completion.h"

namespace alchemist {

// The next token after `answer`. What would end the answer is not drawn before min_tokens, unless
// there is nothing else. The draw is a function of (seed, position), so that a request that is run
// again draws the same. REQUIRES: every token of `eos_ids` is below logits.size().
int32_t ChooseToken(const CompletionRequest& request, uint64_t seed,
                    absl::Span<const int32_t> answer, absl::Span<const float> logits,
                    absl::Span<const int32_t> eos_ids);

// Why an answer ends with its last token. Nullopt: it goes on, if no stop string ends it.
std::optional<FinishReason> EndOfAnswer(const CompletionRequest& request,
                                        absl::Span<const int32_t> answer,
                                        absl::Span<const int32_t> eos_ids);

// The `count` most probable tokens of a row with their log-probs, the most probable first; among
// equals the smaller id.
TopLogprobs MostProbable(absl::Span<const float> logits, int64_t count);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_TOKEN_CHOICE_H_
