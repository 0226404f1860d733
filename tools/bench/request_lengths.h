// Lengths of requests as a trace has them, and what a benchmark makes of them. Pure functions but
// for the file; any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_REQUEST_LENGTHS_H_
#define ALCHEMIST_TOOLS_BENCH_REQUEST_LENGTHS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"

namespace alchemist {

struct RequestLengths {
  int64_t prompt = 0;
  int64_t response = 0;
  int64_t total() const { return prompt + response; }
  friend bool operator==(const RequestLengths&, const RequestLengths&) = default;
};

// A CSV whose first two columns are prompt and response tokens, with one line of headings.
// InvalidArgument names `name` and the line.
absl::StatusOr<std::vector<RequestLengths>> ParseLengths(absl::string_view text,
                                                         absl::string_view name);

// All lengths by one factor, so that the longest request has `context` tokens; at least one token
// each. REQUIRES: there is one.
std::vector<RequestLengths> ScaleToContext(std::vector<RequestLengths> requests, int64_t context);

// About `tokens` tokens of requests that stand for all: as many as that makes of mean length, at
// even distances when all are sorted by length. At least one. REQUIRES: there is one.
std::vector<RequestLengths> EvenSample(std::vector<RequestLengths> requests, int64_t tokens);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_REQUEST_LENGTHS_H_
