// Traces of requests as others recorded them: when each came, how long it was, and which prefixes
// it shared. Pure functions but for ReadTrace; any thread.
#ifndef ALCHEMIST_TOOLS_REPLAY_TRACE_H_
#define ALCHEMIST_TOOLS_REPLAY_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"

namespace alchemist {

// Tokens that one hash of a Mooncake trace stands for.
inline constexpr int64_t kTraceBlockTokens = 512;

struct TraceRequest {
  int64_t arrival_us = 0;  // Since the first request of the trace; never before the one above.
  int64_t prompt_tokens = 0;
  int64_t answer_tokens = 0;
  // One for each kTraceBlockTokens of the prompt, the last one perhaps for fewer. Requests whose
  // first ids are equal begin with the same tokens. Empty where the trace has none.
  std::vector<int64_t> hash_ids = {};
  friend bool operator==(const TraceRequest&, const TraceRequest&) = default;
};

struct Trace {
  bool has_arrivals = false;           // Otherwise each arrival_us is 0.
  std::vector<TraceRequest> requests;  // At least one.
};

// Each format has its function; InvalidArgument names `name`, the line and what is wrong with it.

// A CSV whose first two columns are prompt and answer tokens, with one line of headings.
absl::StatusOr<Trace> ParseLengthsTrace(absl::string_view text, absl::string_view name);
// A CSV of "YYYY-MM-DD hh:mm:ss.fffffff,prompt tokens,answer tokens", with one line of headings.
absl::StatusOr<Trace> ParseAzureTrace(absl::string_view text, absl::string_view name);
// Lines of JSON: {"timestamp": milliseconds, "input_length", "output_length", "hash_ids": [...]}.
absl::StatusOr<Trace> ParseMooncakeTrace(absl::string_view text, absl::string_view name);

// The same by what the text looks like: Mooncake's begins with "{", Azure's with "TIMESTAMP".
absl::StatusOr<Trace> ParseTrace(absl::string_view text, absl::string_view name);

// The file of `trace`, which is "sharegpt", "azure_code" or "mooncake", in `data_dir`
// (ALCHEMIST_DATA), or a path itself. InvalidArgument naming what is missing: the trace, or
// `data_dir` where it is empty.
absl::StatusOr<std::string> TracePath(absl::string_view trace, absl::string_view data_dir);

// The trace in the file `path`.
absl::StatusOr<Trace> ReadTrace(const std::string& path);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_TRACE_H_
