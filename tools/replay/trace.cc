#include "tools/replay/trace.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/json.h"
#include "tools/bench/request_lengths.h"

namespace alchemist {
namespace {

constexpr int64_t kLengthMax = 1 << 24;
constexpr int64_t kHashIdMax = int64_t{1} << 53;
constexpr int64_t kTimestampMsMax = int64_t{1'000'000} * 3'600'000;
constexpr int64_t kArrivalUsMax = kTimestampMsMax * 1000;
constexpr int64_t kFileBytesMax = 1 << 28;
constexpr char kAzureHeading[] = "TIMESTAMP";

struct NamedTrace {
  const char* name;
  const char* file;
};
constexpr NamedTrace kNamedTraces[] = {
    {"sharegpt", "traces/sharegpt_lengths.csv"},
    {"azure_code", "traces/AzureLLMInferenceTrace_code.csv"},
    {"mooncake", "traces/mooncake_conversation_trace.jsonl"},
};

// Parses each line of `text` that is not empty with `parse`, which is told how to name the line.
// Arrivals become those since the first one.
absl::StatusOr<Trace> ParseArrivals(absl::string_view text, absl::string_view name,
                                    int64_t headings,
                                    const std::function<absl::StatusOr<TraceRequest>(
                                        absl::string_view line, const std::string& where)>& parse) {
  Trace trace{.has_arrivals = true, .requests = {}};
  int64_t number = 0;
  int64_t first_us = 0, last_us = 0;
  for (const absl::string_view line_end : absl::StrSplit(text, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(line_end);
    if (++number <= headings || line.empty()) continue;
    const std::string where = absl::StrCat(name, ": line ", number);
    ASSIGN_OR_RETURN(TraceRequest request, parse(line, where));
    if (request.arrival_us < 0 || request.arrival_us > kArrivalUsMax) {
      return absl::InvalidArgumentError(absl::StrCat(where, " comes before 1970 or after 2084"));
    }
    if (trace.requests.empty()) first_us = last_us = request.arrival_us;
    if (request.arrival_us < last_us) {
      return absl::InvalidArgumentError(absl::StrCat(where, " came before the request above it"));
    }
    last_us = request.arrival_us;
    request.arrival_us -= first_us;
    trace.requests.push_back(std::move(request));
  }
  if (trace.requests.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": has no requests"));
  }
  return trace;
}

bool ParseLength(absl::string_view text, int64_t* length) {
  return absl::SimpleAtoi(text, length) && *length >= 1 && *length <= kLengthMax;
}

absl::StatusOr<TraceRequest> ParseAzureLine(absl::string_view line, const std::string& where) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%Y-%m-%d %H:%M:%E*S", fields[0], &time, &error)) {
    return absl::InvalidArgumentError(absl::StrCat(where, " has no time of arrival: ", error));
  }
  TraceRequest request;
  request.arrival_us = absl::ToUnixMicros(time);
  if (fields.size() < 3 || !ParseLength(fields[1], &request.prompt_tokens) ||
      !ParseLength(fields[2], &request.answer_tokens)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " has no lengths from 1 to ", kLengthMax));
  }
  return request;
}

absl::StatusOr<TraceRequest> ParseMooncakeLine(absl::string_view line, const std::string& where) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(line, where));
  const JsonNode node(&json, where);
  const auto integer = [&](absl::string_view key, int64_t min,
                           int64_t max) -> absl::StatusOr<int64_t> {
    ASSIGN_OR_RETURN(const JsonNode member, node.Get(key));
    return member.Integer(min, max);
  };
  TraceRequest request;
  ASSIGN_OR_RETURN(const int64_t timestamp_ms, integer("timestamp", 0, kTimestampMsMax));
  request.arrival_us = timestamp_ms * 1000;
  ASSIGN_OR_RETURN(request.prompt_tokens, integer("input_length", 1, kLengthMax));
  ASSIGN_OR_RETURN(request.answer_tokens, integer("output_length", 1, kLengthMax));
  ASSIGN_OR_RETURN(const JsonNode hash_ids, node.Get("hash_ids"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> ids, hash_ids.Array());
  for (const JsonNode& id : ids) {
    ASSIGN_OR_RETURN(const int64_t hash_id, id.Integer(0, kHashIdMax));
    request.hash_ids.push_back(hash_id);
  }
  const int64_t blocks = (request.prompt_tokens + kTraceBlockTokens - 1) / kTraceBlockTokens;
  if (static_cast<int64_t>(ids.size()) != blocks) {
    return hash_ids.Invalid(absl::StrCat("has ", ids.size(), " ids; ", request.prompt_tokens,
                                         " tokens are ", blocks, " blocks of ", kTraceBlockTokens));
  }
  return request;
}

}  // namespace

absl::StatusOr<Trace> ParseLengthsTrace(absl::string_view text, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::vector<RequestLengths> lengths, ParseLengths(text, name));
  Trace trace;
  for (const RequestLengths& request : lengths) {
    trace.requests.push_back({.prompt_tokens = request.prompt, .answer_tokens = request.response});
  }
  return trace;
}

absl::StatusOr<Trace> ParseAzureTrace(absl::string_view text, absl::string_view name) {
  return ParseArrivals(text, name, /*headings=*/1, ParseAzureLine);
}

absl::StatusOr<Trace> ParseMooncakeTrace(absl::string_view text, absl::string_view name) {
  return ParseArrivals(text, name, /*headings=*/0, ParseMooncakeLine);
}

absl::StatusOr<Trace> ParseTrace(absl::string_view text, absl::string_view name) {
  if (absl::StartsWith(text, "{")) return ParseMooncakeTrace(text, name);
  if (absl::StartsWith(text, kAzureHeading)) return ParseAzureTrace(text, name);
  return ParseLengthsTrace(text, name);
}

absl::StatusOr<std::string> TracePath(absl::string_view trace, absl::string_view data_dir) {
  if (trace.empty()) {
    return absl::InvalidArgumentError(
        "--trace: is missing; sharegpt, azure_code, mooncake, or a file's path");
  }
  for (const NamedTrace& named : kNamedTraces) {
    if (trace != named.name) continue;
    if (!data_dir.empty()) return absl::StrCat(data_dir, "/", named.file);
    return absl::InvalidArgumentError(absl::StrCat(
        "--trace=", trace, ": ALCHEMIST_DATA is not set; it names the folder that has ", named.file,
        ". A path of that file will do, too"));
  }
  return std::string(trace);
}

absl::StatusOr<Trace> ReadTrace(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileBytesMax));
  return ParseTrace(text, path);
}

}  // namespace alchemist
