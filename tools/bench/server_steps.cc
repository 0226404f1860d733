#include "tools/bench/server_steps.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace alchemist {

absl::StatusOr<ServerSteps> ParseSteps(absl::string_view text, int64_t begin_us) {
  ServerSteps steps;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    int64_t at_us = 0, us = 0;
    const bool is_step = fields[0] == "step" && fields.size() == 5;
    const bool is_wait = fields[0] == "wait" && fields.size() == 3;
    if (!(is_step || is_wait) || !absl::SimpleAtoi(fields[1], &at_us) ||
        !absl::SimpleAtoi(fields[2], &us)) {
      return absl::InvalidArgumentError(absl::StrCat("neither a step nor a wait: ", line));
    }
    if (at_us < begin_us) continue;
    (is_step ? steps.step_ms : steps.wait_ms).push_back(static_cast<double>(us) * 1e-3);
  }
  return steps;
}

}  // namespace alchemist
