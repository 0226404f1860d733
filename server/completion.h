// A completion on its way through the server, as plain values: the validated request, and what the
// serving loop sends back through CompletionStream.
#ifndef ALCHEMIST_SERVER_COMPLETION_H_
#define ALCHEMIST_SERVER_COMPLETION_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "kernels/sampling.h"
#include "server/log_rows.h"

namespace alchemist {

struct CompletionRequest {
  std::string request_id;              // Minted here; what Abort names.
  std::string tenant;                  // "" = none said.
  int32_t priority = 0;                // Within the tenant; the smaller number goes first.
  std::vector<int32_t> prompt_tokens;  // At least one; below the context.
  std::string adapter_id;
  std::string session_id;  // "" = none.
  int64_t max_tokens = 0;  // >= 1, prompt_tokens + max_tokens <= context.
  SamplingParams sampling;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  bool logprobs = false;
  bool no_train = false;  // Nothing of it is recorded or logged.
};

// The request was accepted; it waits or runs from here on.
struct CompletionStarted {
  std::string request_id;
};

struct CompletionChunk {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<float> logprobs;  // Empty unless asked for.
};

struct CompletionEnd {
  absl::Status status;  // Not OK: the request failed; the rest is unset.
  std::string completion_id;
  RevisionId revision;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;  // Of prompt_tokens: found recorded, and not run again.
  FinishReason finish_reason = FinishReason::kEos;
  bool recorded = false;
};

using CompletionEvent = std::variant<CompletionStarted, CompletionChunk, CompletionEnd>;

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMPLETION_H_
