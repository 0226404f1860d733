// A completion on its way through the server, as plain values: the validated request, and what the
// serving loop sends back. CompletionStream carries the latter to the one gRPC thread of the call.
#ifndef ALCHEMIST_SERVER_COMPLETION_H_
#define ALCHEMIST_SERVER_COMPLETION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/bounded_queue.h"
#include "base/status.h"
#include "kernels/sampling.h"
#include "server/log_rows.h"

namespace alchemist {

struct CompletionRequest {
  std::vector<int32_t> prompt_tokens;  // At least one; below the context.
  std::string adapter_id;
  std::string session_id;  // "" = none.
  int64_t max_tokens = 0;  // >= 1, prompt_tokens + max_tokens <= context.
  SamplingParams sampling;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  bool logprobs = false;
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
  FinishReason finish_reason = FinishReason::kEos;
  bool recorded = false;
};

using CompletionEvent = std::variant<CompletionChunk, CompletionEnd>;

// Bounded: while `events` has no room for a chunk and the end, the loop leaves the sequence out of
// its steps, so that a slow reader stops its own request and nobody else's.
struct CompletionStream {
  static constexpr int64_t kEventsMax = 64;

  BoundedQueue<CompletionEvent> events{kEventsMax};
  std::atomic<bool> cancelled{false};  // Set by the call's thread; read by the loop.

  bool HasRoom() const { return events.size() + 2 <= kEventsMax; }
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMPLETION_H_
