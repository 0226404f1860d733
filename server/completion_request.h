// Checks a CompleteRequest and turns it into what the serving loop runs. Pure; any thread.
#ifndef ALCHEMIST_SERVER_COMPLETION_REQUEST_H_
#define ALCHEMIST_SERVER_COMPLETION_REQUEST_H_

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/config.h"
#include "model/tokenizer.h"
#include "proto/alchemist/v1/completion.pb.h"
#include "server/completion.h"

namespace alchemist {

inline constexpr int64_t kMaxTokensDefault = 256;
inline constexpr int64_t kStopStringsMax = 16;
inline constexpr int64_t kStopBytesMax = 256;
inline constexpr int64_t kStopTokensMax = 64;
inline constexpr int64_t kLogitBiasMax = 1024;
inline constexpr int64_t kTopLogprobsMax = 20;
inline constexpr int64_t kScoredTokensMax = 8192;  // Of a prompt with prompt_logprobs.

// InvalidArgument names the field and its limit. Prompt and answer fit the model's context and the
// `tokens_max` that the server's K/V pages hold. `seed` is used when the request has none.
absl::StatusOr<CompletionRequest> ParseCompleteRequest(const v1::CompleteRequest& message,
                                                       const Tokenizer& tokenizer,
                                                       const ModelConfig& model, int64_t tokens_max,
                                                       uint64_t seed);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMPLETION_REQUEST_H_
