#include "server/output_text.h"

#include <algorithm>
#include <utility>

namespace alchemist {
namespace {

// The longest suffix of `text` that is a proper prefix of `stop`.
size_t PartialMatch(const std::string& text, const std::string& stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.compare(text.size() - length, length, stop, 0, length) == 0) return length;
  }
  return 0;
}

}  // namespace

std::string OutputText::Push(int32_t token, bool may_stop) {
  std::string text = decoder_.Push(token);
  return may_stop ? Emit(std::move(text), /*last=*/false) : text;
}

std::string OutputText::Finish() { return Emit(decoder_.Finish(), /*last=*/true); }

std::string OutputText::Emit(std::string text, bool last) {
  if (stopped_) return "";
  held_ += text;
  // The stop string that is complete first ends the answer, so that the text does not depend on how
  // it is cut into tokens; of two that end together, the longer one.
  size_t begin = std::string::npos;
  size_t end = std::string::npos;
  size_t hold = 0;
  for (const std::string& stop : stop_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos) {
      if (!last) hold = std::max(hold, PartialMatch(held_, stop));
    } else if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
      begin = at;
      end = at + stop.size();
    }
  }
  if (begin != std::string::npos) {
    stopped_ = true;
    held_.resize(begin);
    return std::exchange(held_, "");
  }
  std::string emitted = held_.substr(0, held_.size() - hold);
  held_.erase(0, emitted.size());
  return emitted;
}

}  // namespace alchemist
