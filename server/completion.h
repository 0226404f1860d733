// A completion on its way through the server, as plain values: the validated request, and what the
// serving loop sends back through CompletionStream.
#ifndef ALCHEMIST_SERVER_COMPLETION_H_
#define ALCHEMIST_SERVER_COMPLETION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "kernels/logit_adjustments.h"
#include "kernels/sampling.h"
#include "server/log_rows.h"

namespace alchemist {

inline constexpr int64_t kChoicesMax = 16;

struct CompletionRequest {
  std::string request_id;              // Minted here; what Abort names.
  std::string tenant;                  // "" = none said.
  int32_t priority = 0;                // Within the tenant; the smaller number goes first.
  std::vector<int32_t> prompt_tokens;  // At least one; below the context.
  std::string adapter_id;
  std::string session_id;  // "" = none.
  int64_t max_tokens = 0;  // >= 1, prompt_tokens + max_tokens <= context.
  int64_t min_tokens = 0;  // <= max_tokens; nothing ends the answer before.
  int64_t choices = 1;     // Answers to the prompt, 1 to kChoicesMax.
  SamplingParams sampling;
  LogitAdjustments adjustments;
  uint64_t seed = 0;  // Of the first choice; the next ones have the next numbers.
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
  bool logprobs = false;
  int64_t top_logprobs = 0;                // Alternatives for each token.
  std::optional<int64_t> prompt_logprobs;  // The same for each prompt token, beside its own.
  bool no_train = false;                   // Nothing of it is recorded or logged.
};

// The request was accepted; it waits or runs from here on.
struct CompletionStarted {
  std::string request_id;
};

// The most probable tokens at one place, the most probable first.
struct TopLogprobs {
  std::vector<int32_t> token_ids;
  std::vector<float> logprobs;
};

// Of the prompt's tokens but the first. Before the first chunk, when it was asked for.
struct PromptLogprobs {
  std::vector<float> logprobs;
  std::vector<TopLogprobs> top;  // Empty unless alternatives were asked for.
};

struct CompletionChunk {
  int64_t choice = 0;
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<float> logprobs;   // Empty unless asked for.
  std::vector<TopLogprobs> top;  // The same.
};

// The end of one choice.
struct CompletionEnd {
  absl::Status status;  // Not OK: the request failed, with all choices; the rest is unset.
  int64_t choice = 0;
  std::string completion_id;
  RevisionId revision;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;  // Of prompt_tokens: found recorded, and not run again.
  FinishReason finish_reason = FinishReason::kEos;
  bool recorded = false;
};

using CompletionEvent =
    std::variant<CompletionStarted, PromptLogprobs, CompletionChunk, CompletionEnd>;

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMPLETION_H_
