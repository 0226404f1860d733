#include "tools/bench/request_lengths.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kLengthMax = 1 << 24;

bool ParseLength(absl::string_view text, int64_t* length) {
  return absl::SimpleAtoi(text, length) && *length >= 1 && *length <= kLengthMax;
}

int64_t Scaled(int64_t length, double factor) {
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(length) * factor));
}

}  // namespace

absl::StatusOr<std::vector<RequestLengths>> ParseLengths(absl::string_view text,
                                                         absl::string_view name) {
  std::vector<RequestLengths> requests;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (++number == 1) continue;
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    RequestLengths& request = requests.emplace_back();
    if (fields.size() < 2 || !ParseLength(fields[0], &request.prompt) ||
        !ParseLength(fields[1], &request.response)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": line ", number, " has no lengths from 1 to ", kLengthMax));
    }
  }
  if (requests.empty()) return absl::InvalidArgumentError(absl::StrCat(name, ": has no requests"));
  return requests;
}

std::vector<RequestLengths> ScaleToContext(std::vector<RequestLengths> requests, int64_t context) {
  CHECK(!requests.empty());
  int64_t longest = 0;
  for (const RequestLengths& request : requests) longest = std::max(longest, request.total());
  const double factor = static_cast<double>(context) / static_cast<double>(longest);
  for (RequestLengths& request : requests) {
    request = {Scaled(request.prompt, factor), Scaled(request.response, factor)};
  }
  return requests;
}

std::vector<RequestLengths> EvenSample(std::vector<RequestLengths> requests, int64_t tokens) {
  CHECK(!requests.empty());
  std::sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) {
    return std::make_tuple(a.total(), a.prompt) < std::make_tuple(b.total(), b.prompt);
  });
  double sum = 0;
  for (const RequestLengths& request : requests) sum += static_cast<double>(request.total());
  const double mean = sum / static_cast<double>(requests.size());
  const auto count = std::max<int64_t>(1, std::llround(static_cast<double>(tokens) / mean));
  std::vector<RequestLengths> sample;
  for (int64_t i = 0; i < count; ++i) {
    sample.push_back(requests[(2 * i + 1) * static_cast<int64_t>(requests.size()) / (2 * count)]);
  }
  return sample;
}

}  // namespace alchemist
