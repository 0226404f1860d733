#include "server/step_log.h"

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

template <typename Entry>
void AddBounded(const Entry& entry, std::deque<Entry>& entries) {
  if (entries.size() == StepLog::kEntriesMax) entries.pop_front();
  entries.push_back(entry);
}

}  // namespace

void StepLog::Add(const Step& step) { AddBounded(step, steps_); }

void StepLog::Add(const Wait& wait) { AddBounded(wait, waits_); }

std::string StepLog::Text() const {
  std::string text;
  for (const Step& step : steps_) {
    absl::StrAppend(&text, "step ", step.begin_us, " ", step.us, " ", step.decode_rows, " ",
                    step.prompt_rows, "\n");
  }
  for (const Wait& wait : waits_) absl::StrAppend(&text, "wait ", wait.end_us, " ", wait.us, "\n");
  return text;
}

}  // namespace alchemist
