// What a GPU machine answered, as a table for people and as JSON, which reads back to the same
// report. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_REPORT_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_REPORT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "tools/gpu_check/check.h"

namespace alchemist {

// "pass", "FAIL", "measured" or "not run".
absl::string_view VerdictWord(CheckVerdict verdict);

// The machine, then group by group each check: its verdict, what was done and seen, what follows,
// and its measurements; last, how many passed and which failed. In lines of at most 100 columns, as
// far as single words allow.
std::string TableText(const GpuReport& report);

// {"program", "version", "date", "form", "command", "machine": {name: value}, "seconds", "planned",
// "results": [{"id", "question", "done", "happened", "verdict": "pass" | "fail" | "measured" |
// "not_run", "consequence", "measurements": [{"name", "value", "unit"}], "seconds"}]}. Never fails:
// bytes that are no UTF-8 become U+FFFD, and a number that is infinite or none becomes null.
// REQUIRES: ids and the machine's names are unique, else ParseReport refuses what this writes.
std::string ReportJson(const GpuReport& report);

// The report that ReportJson wrote into the file `name`. A number that is null reads as NaN.
// Otherwise every field must be there, of its type, and no other: the error (InvalidArgument;
// Unimplemented for a field that is not known) names file and field.
absl::StatusOr<GpuReport> ParseReport(absl::string_view text, absl::string_view name);

// One of exit_code.h. A report without results has run nothing: kExitNotRun.
int ExitCodeOf(const GpuReport& report);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_REPORT_H_
